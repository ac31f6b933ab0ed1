#include "runtime/planner.h"

#include <algorithm>
#include <numeric>

#include "runtime/tensor.h"

namespace inkling {

namespace {

bool meet(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

// Bytes alive in each step.
std::vector<std::size_t> bytes_alive(std::span<const Lifetime> lifetimes) {
  std::size_t steps = 0;
  for (const Lifetime& life : lifetimes) steps = std::max(steps, life.last + 1);
  std::vector<std::size_t> alive(steps + 1);  // differences, then running sums
  for (const Lifetime& life : lifetimes) {
    alive[life.first] += aligned_bytes(life.bytes);
    alive[life.last + 1] -= aligned_bytes(life.bytes);
  }
  std::partial_sum(alive.begin(), alive.end(), alive.begin());
  return alive;
}

// Each at the lowest offset where it meets nothing placed before it.
ArenaLayout place(std::span<const Lifetime> lifetimes, std::span<const std::size_t> order) {
  ArenaLayout layout;
  layout.offsets.resize(lifetimes.size());
  std::vector<std::size_t> placed;  // by offset
  for (const std::size_t i : order) {
    const std::size_t bytes = aligned_bytes(lifetimes[i].bytes);
    std::size_t offset = 0;
    for (const std::size_t other : placed) {
      if (!meet(lifetimes[i], lifetimes[other])) continue;
      if (layout.offsets[other] >= offset + bytes) break;
      offset = std::max(offset, layout.offsets[other] + aligned_bytes(lifetimes[other].bytes));
    }
    layout.offsets[i] = offset;
    layout.bytes = std::max(layout.bytes, offset + bytes);
    const auto at = std::upper_bound(
        placed.begin(), placed.end(), offset,
        [&](std::size_t value, std::size_t p) { return value < layout.offsets[p]; });
    placed.insert(at, i);
  }
  return layout;
}

}  // namespace

ArenaLayout plan_arena(std::span<const Lifetime> lifetimes) {
  std::vector<std::size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return lifetimes[a].bytes > lifetimes[b].bytes;
  });
  ArenaLayout by_size = place(lifetimes, order);
  const std::vector<std::size_t> alive = bytes_alive(lifetimes);
  if (by_size.bytes == *std::max_element(alive.begin(), alive.end())) return by_size;
  std::vector<std::size_t> fullest(lifetimes.size());
  for (std::size_t i = 0; i < lifetimes.size(); ++i) {
    const auto first = alive.begin() + static_cast<std::ptrdiff_t>(lifetimes[i].first);
    const auto last = alive.begin() + static_cast<std::ptrdiff_t>(lifetimes[i].last);
    fullest[i] = *std::max_element(first, last + 1);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return fullest[a] > fullest[b]; });
  ArenaLayout by_breadth = place(lifetimes, order);
  return by_breadth.bytes < by_size.bytes ? by_breadth : by_size;
}

std::size_t arena_lower_bound(std::span<const Lifetime> lifetimes) {
  const std::vector<std::size_t> alive = bytes_alive(lifetimes);
  return *std::max_element(alive.begin(), alive.end());
}

}  // namespace inkling
