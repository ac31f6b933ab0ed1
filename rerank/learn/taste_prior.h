#pragma once
// The spread of tastes over a population, from the slates of many people: empirical Bayes by
// expectation-maximisation, with Laplace's approximation of each person's posterior (mixed logit
// with a normal mixing distribution; Train, "Discrete Choice Methods with Simulation", 2009,
// chapter 14).
//
// Everything that it needs of people are sums over them, so it can be learnt federated, with the
// same arithmetic, by secure aggregation.

#include "rerank/encoded_slate.h"
#include "rerank/learn/people_sum.h"
#include "rerank/taste.h"

namespace inkling {

struct TastePriorOptions {
  int rounds = 10;
  double start = 0.3;    // variance to begin with, over the variance of the column
  double shrink = 0.05;  // variance towards which a small population is pulled, likewise
  double strength = 5;   // people that this pull counts for
  double sum_error = 0;  // by how much a sum may be wrong
};

// `people` holds each person's slates of f32[alternatives, width] rows; those in which nothing or
// everything was chosen are passed over. kInvalidArgument: nobody with a slate to learn from, or
// slates that check_slates() refuses. kFailedPrecondition: no optimum (features that are not
// finite).
Result<TastePrior> fit_taste_prior(std::span<const std::vector<EncodedSlate>> people,
                                   std::size_t width, const TastePriorOptions& options = {},
                                   const SumOverPeople& sum = sum_in_the_clear);

// The same with tastes that are independent of each other, for sums with noise in them, which grows
// with how many numbers there are: a person adds 2 width of them, about 1 each, in units of the
// columns' deviations. Those, `variance` f64[width], come from elsewhere, for example from what was
// offered; no noise makes a variance of the prior leave [options.shrink, 4].
Result<TastePrior> fit_independent_taste_prior(std::span<const std::vector<EncodedSlate>> people,
                                               std::span<const double> variance,
                                               const TastePriorOptions& options,
                                               const SumOverPeople& sum);

}  // namespace inkling
