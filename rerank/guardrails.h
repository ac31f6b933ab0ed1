#pragma once
// What the app never lets a model do to its feed, whatever the scores say. From the strongest rule
// to the weakest: pinned places; the largest move from the server's place; fresh items near the
// top; distance between items of one category. A weaker rule yields where it cannot be kept.

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

struct Pin {
  std::uint32_t item, place;
};

struct Guardrails {
  std::vector<Pin> pins{};  // items and places at most once each
  std::size_t move_max = std::numeric_limits<std::size_t>::max();  // places, up or down
  // At least fresh_min of the first fresh_places items are fresh, if there are as many.
  std::size_t fresh_min = 0, fresh_places = 0;
  std::size_t spacing = 0;  // places between two items of a category; 0: any
};

// What the rules look at; both may be empty, else one an item.
struct GuardrailItems {
  std::span<const std::uint64_t> categories{};  // 0: of no category
  std::span<const std::uint8_t> fresh{};
};

// The order that follows `wanted` (indices of items in the server's order, best first) as far as
// the rules allow. kInvalidArgument: not a permutation, pins that cannot be, or sizes that differ.
Result<std::vector<std::uint32_t>> apply_guardrails(std::span<const std::uint32_t> wanted,
                                                    const Guardrails& rules,
                                                    const GuardrailItems& items = {});

}  // namespace inkling
