#include "rerank/learn/taste_prior.h"

#include "tests/rerank/synthetic.h"

namespace inkling {
namespace {

TEST(TastePrior, RecoversThePopulationThatDrewTheChoices) {
  Rng rng(1, "population");
  std::vector<std::vector<EncodedSlate>> people;
  for (int i = 0; i < 300; ++i) {
    const double shared = rng.normal();  // the first two tastes go together
    const std::vector<double> taste = {1 + shared, -1 + shared + 0.3 * rng.normal(), 0.5};
    people.push_back(synthetic::draw_slates(rng, taste, 25));
  }
  const auto prior = fit_taste_prior(people, synthetic::kWidth, {.rounds = 40});
  ASSERT_TRUE(prior) << prior.error().message;
  EXPECT_NEAR(prior->mean[0], 1.0, 0.2);  // three standard errors of 300 people
  EXPECT_NEAR(prior->mean[1], -1.0, 0.2);
  EXPECT_NEAR(prior->mean[2], 0.5, 0.1);
  EXPECT_NEAR(prior->covariance[0], 1.0, 0.3);
  EXPECT_NEAR(prior->covariance[1], 1.0, 0.3);  // that they go together
  EXPECT_LT(prior->covariance[8], 0.1);         // nobody differs in the third
}

TEST(TastePrior, NeedsSomethingToLearnFrom) {
  EXPECT_EQ(fit_taste_prior({}, 3).error().code, ErrorCode::kInvalidArgument);
  std::vector<std::vector<EncodedSlate>> silent(2);
  silent[0].push_back({.request = 1, .alternatives = 1, .features = {1, 2, 3}, .chosen = {0}});
  EXPECT_EQ(fit_taste_prior(silent, 3).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling
