#pragma once
// Where each intermediate tensor lives while a plan runs: offsets into one arena, found once.
//
// Example, six steps, four tensors (bytes, first..last step in which it is alive):
//   a 64 [0..1]   b 64 [1..2]   c 128 [2..4]   d 64 [4..5]
// a and c never meet, so c may start where a was; the arena is 192 bytes and not 320.
//
// The placement is greedy: each tensor at the lowest offset where it meets none that is alive at
// the same time, the largest first, or, where that gives less, those of the fullest steps first
// (Pisarchyk & Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, greedy by
// size and by breadth).

#include <cstddef>
#include <span>
#include <vector>

namespace inkling {

struct Lifetime {
  std::size_t bytes;
  std::size_t first;  // the step that writes it
  std::size_t last;   // the last step that touches it, inclusive
};

struct ArenaLayout {
  std::vector<std::size_t> offsets;  // one a lifetime, multiples of kTensorAlignment
  std::size_t bytes = 0;
};

// No two tensors that are alive in the same step overlap. Deterministic.
ArenaLayout plan_arena(std::span<const Lifetime> lifetimes);

// The largest number of bytes alive in one step: no layout can be smaller.
std::size_t arena_lower_bound(std::span<const Lifetime> lifetimes);

}  // namespace inkling
