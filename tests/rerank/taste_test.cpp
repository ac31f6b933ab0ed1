#include "rerank/taste.h"

#include <cmath>

#include "rerank/conditional_logit.h"
#include "tests/rerank/synthetic.h"

namespace inkling {
namespace {

TastePrior diagonal(std::size_t width, double variance) {
  TastePrior p{.mean = std::vector<double>(width, 0.0),
               .covariance = std::vector<double>(width * width, 0.0)};
  for (std::size_t i = 0; i < width; ++i) p.covariance[i * (width + 1)] = variance;
  return p;
}

TEST(Taste, AfterOneSlateItIsTheExactMode) {
  Rng rng(1, "taste");
  const std::vector<double> truth = {1, -2, 0.5};
  const EncodedSlate slate = synthetic::draw_slate(rng, truth, 5);
  Taste taste(diagonal(3, 2.0));
  taste.observe(slate.features, slate.chosen);
  // N(0, 2 I) is the ridge |w|^2 / (2 * 2).
  const auto fit = fit_conditional_logit(std::span(&slate, 1), 3, {.ridge = 0.25});
  ASSERT_TRUE(fit);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(taste.posterior().mean[i], fit->weights[i], 1e-4);  // Newton stops at 1e-9 nats
}

TEST(Taste, ManySlatesAgreeWithTheBatchOptimumAndTheTruth) {
  Rng rng(2, "taste");
  const std::vector<double> truth = {1, -2, 0.5};
  const auto slates = synthetic::draw_slates(rng, truth, 400);
  Taste taste(diagonal(3, 4.0));
  for (const EncodedSlate& s : slates) taste.observe(s.features, s.chosen);
  const auto fit = fit_conditional_logit(slates, 3, {.ridge = 0.125});
  for (std::size_t i = 0; i < 3; ++i) {
    // Laplace slate by slate is an approximation: well inside what the data leave open.
    const double deviation = std::sqrt(taste.posterior().covariance[i * 4]);
    EXPECT_NEAR(taste.posterior().mean[i], fit->weights[i], 1.5 * deviation);
    EXPECT_NEAR(taste.posterior().mean[i], truth[i], 0.35);  // four standard errors
  }
}

TEST(Taste, EvidenceOnlyEverShrinksUncertainty) {
  Rng rng(3, "taste");
  const std::vector<double> truth = {1, -2, 0.5};
  Taste taste(diagonal(3, 1.0));
  const std::vector<float> probe = {1, 1, 1};
  double before = taste.uncertainty(probe);
  for (const EncodedSlate& s : synthetic::draw_slates(rng, truth, 30)) {
    taste.observe(s.features, s.chosen);
    EXPECT_LT(taste.uncertainty(probe), before);
    before = taste.uncertainty(probe);
    EXPECT_TRUE(check_taste_prior(taste.posterior()));
  }
}

TEST(Taste, SlatesThatSayNothingChangeNothing) {
  Taste taste(diagonal(1, 1.0));
  const std::vector<float> rows = {1, 2};
  taste.observe(rows, {});
  taste.observe(rows, std::vector<std::size_t>{0, 1});
  EXPECT_EQ(taste.posterior().mean[0], 0.0);
  EXPECT_EQ(taste.posterior().covariance[0], 1.0);
}

TEST(Taste, HugeUtilitiesStayFinite) {
  Taste taste(diagonal(1, 1e6));
  for (int i = 0; i < 50; ++i) {
    taste.observe(std::vector<float>{1000, -1000}, std::vector<std::size_t>{i % 2 == 0 ? 0u : 1u});
    EXPECT_TRUE(std::isfinite(taste.posterior().mean[0]));
    EXPECT_TRUE(check_taste_prior(taste.posterior()));
  }
}

}  // namespace
}  // namespace inkling
