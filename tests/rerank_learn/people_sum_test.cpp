// What is learnt from sums over people is what would be learnt from all their slates at one place.

#include "rerank/learn/people_sum.h"

#include <gtest/gtest.h>

#include <cmath>

#include "rerank/learn/taste_prior.h"
#include "tests/rerank/synthetic.h"

namespace inkling {
namespace {

using People = std::vector<std::vector<EncodedSlate>>;

People draw_people(std::size_t count, std::size_t slates) {
  People people;
  for (std::size_t i = 0; i < count; ++i) {
    Rng rng(8, "people", i);
    const std::vector<double> taste = {rng.normal(), 0.5 * rng.normal(), 1};
    people.push_back(synthetic::draw_slates(rng, taste, slates));
  }
  return people;
}

TEST(PeopleSum, TheLogitOfSumsIsThatOfAllSlates) {
  const People people = draw_people(6, 10);
  std::vector<EncodedSlate> all;
  for (const auto& own : people) all.insert(all.end(), own.begin(), own.end());
  const std::vector<std::size_t> everyone = {0, 1, 2, 3, 4, 5};
  const auto summed =
      fit_summed_logit(people, everyone, synthetic::kWidth, {.ridge = 0.1}, sum_in_the_clear);
  const auto pooled = fit_conditional_logit(all, synthetic::kWidth, {.ridge = 0.1});
  ASSERT_TRUE(summed && pooled);
  for (std::size_t i = 0; i < synthetic::kWidth; ++i)
    EXPECT_NEAR(summed->weights[i], pooled->weights[i], 1e-8);
  EXPECT_NEAR(summed->nll, pooled->nll, 1e-10);
}

TEST(PeopleSum, SumsThatAreALittleWrongGiveAFitThatIsALittleWrong) {
  const People people = draw_people(6, 10);
  const std::vector<std::size_t> everyone = {0, 1, 2, 3, 4, 5};
  int rounds = 0;
  const SumOverPeople rounded = [&](std::span<const std::size_t> who, std::size_t length,
                                    const PersonTerm& term) -> Result<std::vector<double>> {
    ++rounds;
    INK_TRY(std::vector<double> sum, sum_in_the_clear(who, length, term));
    for (double& v : sum) v = std::round(v * 1e5) / 1e5;
    return sum;
  };
  const auto exact =
      fit_summed_logit(people, everyone, synthetic::kWidth, {.ridge = 0.1}, sum_in_the_clear);
  const auto fit =
      fit_summed_logit(people, everyone, synthetic::kWidth,
                       {.ridge = 0.1, .gradient_norm_max = 1e-6, .nll_error = 1e-4}, rounded);
  ASSERT_TRUE(fit) << fit.error().message;
  for (std::size_t i = 0; i < synthetic::kWidth; ++i)
    EXPECT_NEAR(fit->weights[i], exact->weights[i], 1e-4);
  EXPECT_LT(rounds, 12);
}

TEST(PeopleSum, ColumnMomentsAreThoseOfAllRows) {
  const People people = {{{.alternatives = 2, .features = {1, 10, 3, 10}, .chosen = {0}}},
                         {{.alternatives = 1, .features = {5, 10}, .chosen = {0}}}};
  const std::vector<std::size_t> everyone = {0, 1};
  const auto moments = sum_column_moments(people, everyone, 2, sum_in_the_clear);
  ASSERT_TRUE(moments);
  EXPECT_DOUBLE_EQ(moments->mean[0], 3);
  EXPECT_NEAR(moments->variance[0], 8.0 / 3, 1e-12);
  EXPECT_NEAR(moments->variance[1], 0, 1e-12);
  EXPECT_FALSE(sum_column_moments(people, {}, 2, sum_in_the_clear));
}

TEST(PeopleSum, IndependentTastesAreFoundByTheirSpread) {
  const People people = draw_people(300, 20);
  const std::vector<double> variance(synthetic::kWidth, 1.0);
  const auto prior =
      fit_independent_taste_prior(people, variance, {.rounds = 30}, sum_in_the_clear);
  ASSERT_TRUE(prior) << prior.error().message;
  EXPECT_NEAR(prior->mean[2], 1, 0.15);
  EXPECT_NEAR(prior->covariance[0], 1, 0.3);
  EXPECT_NEAR(prior->covariance[4], 0.25, 0.15);
  EXPECT_LT(prior->covariance[8], 0.15);
  EXPECT_EQ(prior->covariance[1], 0);
}

}  // namespace
}  // namespace inkling
