#pragma once
// From scores to an order.

#include <cstdint>
#include <span>
#include <vector>

namespace inkling {

// The indices of the scores, best first. Equal scores keep their order, which is the server's; a
// NaN goes last, behind minus infinity, so a broken score cannot lift an item.
std::vector<std::uint32_t> rank_by_score(std::span<const float> scores);

// Appends the indices that `order` lacks, best first, as above.
void append_by_score(std::span<const float> scores, std::vector<std::uint32_t>& order);

}  // namespace inkling
