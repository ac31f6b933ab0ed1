#pragma once
// Orders that are good as a list: relevant, and unlike each other.
//
//   MMR  maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the next item maximises
//        trade * score - (1 - trade) * its largest likeness to what is above it.
//   DPP  the greedy mode of a determinantal point process with the kernel
//        L_ij = exp(strength (s_i + s_j) / 2) likeness_ij, by incremental Cholesky (Chen, Zhang and
//        Zhou, "Fast Greedy MAP Inference for Determinantal Point Process", NeurIPS 2018), in
//        O(items places^2). Items that add no volume any more follow by score.
//
// Likeness is the cosine of two vectors, which for DPP makes a kernel that is positive
// semidefinite. Ties keep the order of the input.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

struct ItemVectors {
  std::span<const float> values{};  // f32[items, width]; a zero vector is like nothing
  std::size_t width = 0;
};

// f64[items, width]: the vectors at length 1, a zero vector as it is. kInvalidArgument: another
// size, width 0, or numbers that are not finite.
Result<std::vector<double>> unit_vectors(std::size_t items, const ItemVectors& vectors);

// The first `places` items by MMR, the others behind them by score. trade in [0, 1]; 1 is the order
// by score. kInvalidArgument: sizes that do not fit, or numbers that are not finite.
Result<std::vector<std::uint32_t>> rank_by_mmr(std::span<const float> scores,
                                               const ItemVectors& vectors, double trade,
                                               std::size_t places);

// Likewise by DPP; strength > 0: how much a score counts against likeness.
Result<std::vector<std::uint32_t>> rank_by_dpp(std::span<const float> scores,
                                               const ItemVectors& vectors, double strength,
                                               std::size_t places);

}  // namespace inkling
