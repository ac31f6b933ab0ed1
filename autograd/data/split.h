#pragma once
// Splits of labelled rows into a part to learn from and a part to choose by.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace inkling {

struct Split {
  std::vector<std::size_t> train, validation;  // rows, in ascending order
};

// Holds back about `share` (0 to 1) of each class, and at least one row of a class that has two.
// Rows of one group stay together (pictures of one person, frames of one film): a group counts as
// its first row's class. `groups` is empty or has one name a row. The same arguments give the same
// split.
Split split_rows(std::span<const std::uint32_t> labels, std::span<const std::string> groups,
                 double share, std::uint64_t seed);

// The first `per_class` rows of each class in a seeded order.
std::vector<std::size_t> few_of_each(std::span<const std::uint32_t> labels, std::size_t per_class,
                                     std::uint64_t seed);

}  // namespace inkling
