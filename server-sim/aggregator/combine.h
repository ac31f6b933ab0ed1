#pragma once
// Combining the means of several groups into one update, so that a minority of groups with hostile
// members cannot drag the model.
//
// Secure aggregation hides what one client sent, so a robust rule works on group means: rows here
// are one group each (or one client each, when updates are in the clear). Every rule is a pure
// function of the rows in their order.

#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

enum class Combine : std::uint8_t { kMean, kMedian, kTrimmedMean, kKrum, kBulyan };
// "mean", "median", "trimmed_mean", "krum" or "bulyan".
Result<Combine> combine_from(std::string_view name);

struct CombineSpec {
  Combine rule = Combine::kMean;
  // The share of rows that may be hostile: what trimmed_mean cuts at each end, and f / n of Krum
  // and Bulyan. 0 <= f < 1/2.
  double hostile = 0.0;
};

// rows: f32[groups][parameters], of equal lengths; weights: one a row, used by the mean alone.
//
//   median, trimmed_mean   coordinate by coordinate (Yin et al., ICML 2018)
//   krum                   the row with the least summed squared distance to its n - f - 2 nearest
//                          (Blanchard et al., NeurIPS 2017); n >= 2 f + 3
//   bulyan                 n - 2 f rows by repeated Krum, then the mean of the n - 4 f values
//   nearest
//                          the median of each coordinate (Guerraoui et al., ICML 2018); n >= 4 f +
//                          3
//
// kInvalidArgument: no rows, rows of unequal lengths, or too few rows for f, with the number
// needed.
Result<std::vector<float>> combine(const CombineSpec& spec,
                                   std::span<const std::vector<float>> rows,
                                   std::span<const double> weights);

}  // namespace inkling
