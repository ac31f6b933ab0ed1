#pragma once
// SumOverPeople: how what people know is added up, which is all that models for everyone are learnt
// from. In the clear it is a loop; federated it is a round of secure aggregation, in which each
// person's term is clipped, rounded and masked, and only the sum is ever seen.

#include <functional>
#include <span>
#include <vector>

#include "rerank/conditional_logit.h"
#include "runtime/base/result.h"

namespace inkling {

// What one person adds, f64[length]; a function of the person alone.
using PersonTerm = std::function<Result<std::vector<double>>(std::size_t person)>;
// The sum of the terms of `people`, who are distinct. kInvalidArgument: nobody, or a term of
// another length.
using SumOverPeople = std::function<Result<std::vector<double>>(
    std::span<const std::size_t> people, std::size_t length, const PersonTerm& term)>;

Result<std::vector<double>> sum_in_the_clear(std::span<const std::size_t> people,
                                             std::size_t length, const PersonTerm& term);

// The mean and variance of each column over all rows of these people's slates, f32[alternatives,
// width]. kInvalidArgument: no rows.
struct ColumnMoments {
  std::vector<double> mean{}, variance{};
};
Result<ColumnMoments> sum_column_moments(std::span<const std::vector<EncodedSlate>> slates,
                                         std::span<const std::size_t> people, std::size_t width,
                                         const SumOverPeople& sum);

// The conditional logit of these people's slates, to which each adds their LogitSums.
Result<ConditionalLogitFit> fit_summed_logit(std::span<const std::vector<EncodedSlate>> slates,
                                             std::span<const std::size_t> people, std::size_t width,
                                             const ConditionalLogitOptions& options,
                                             const SumOverPeople& sum);

}  // namespace inkling
