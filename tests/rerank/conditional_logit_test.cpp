#include "rerank/conditional_logit.h"

#include <gmock/gmock.h>

#include <array>

#include "runtime/session.h"
#include "tests/rerank/synthetic.h"

namespace inkling {
namespace {

using synthetic::kWidth;
constexpr std::array<double, kWidth> kTaste = {1.0, -0.5, 0.25};

// sum NLL + ridge |w - towards|^2, by the plainest loop.
double objective(std::span<const EncodedSlate> slates, std::span<const double> w, double ridge,
                 std::span<const double> towards) {
  double total = 0;
  for (const EncodedSlate& slate : slates) {
    double normaliser = 0, chosen = 0;
    for (std::size_t i = 0; i < slate.alternatives; ++i) {
      double u = 0;
      for (std::size_t k = 0; k < w.size(); ++k)
        u += w[k] * static_cast<double>(slate.features[i * w.size() + k]);
      normaliser += std::exp(u);
      if (i == slate.chosen[0]) chosen = u;
    }
    total += std::log(normaliser) - chosen;
  }
  for (std::size_t k = 0; k < w.size(); ++k)
    total += ridge * (w[k] - towards[k]) * (w[k] - towards[k]);
  return total;
}

TEST(ConditionalLogit, RecoversTheTasteThatMadeTheChoices) {
  Rng rng(1, "slates");
  const auto slates = synthetic::draw_slates(rng, kTaste, 4000);
  const auto fit = fit_conditional_logit(slates, kWidth);
  ASSERT_TRUE(fit) << fit.error().message;
  // The standard error is about 1 / sqrt(4000 * 0.8).
  for (std::size_t k = 0; k < kWidth; ++k) EXPECT_NEAR(fit->weights[k], kTaste[k], 0.08);
}

TEST(ConditionalLogit, GradientVanishesAtTheFit) {
  Rng rng(2, "slates");
  const auto slates = synthetic::draw_slates(rng, kTaste, 200);
  const std::vector<double> towards = {0.5, 0.5, -1};
  for (const double ridge : {1e-3, 1.0, 100.0}) {
    const auto fit = fit_conditional_logit(slates, kWidth, {.ridge = ridge, .towards = towards});
    ASSERT_TRUE(fit) << fit.error().message;
    EXPECT_LE(fit->gradient_norm, 1e-8);
    for (std::size_t k = 0; k < kWidth; ++k) {
      auto above = fit->weights, below = fit->weights;
      above[k] += 1e-4;
      below[k] -= 1e-4;
      // Central differences of a sum of 200 terms: about 1e-8 / 1e-4 of rounding and curvature.
      EXPECT_NEAR(
          (objective(slates, above, ridge, towards) - objective(slates, below, ridge, towards)) /
              2e-4,
          0, 1e-5);
    }
  }
}

TEST(ConditionalLogit, StrongRidgeStaysWhereItPulls) {
  Rng rng(3, "slates");
  const auto slates = synthetic::draw_slates(rng, kTaste, 20);
  const auto fit = fit_conditional_logit(slates, kWidth, {.ridge = 1e7, .towards = {3, 2, 1}});
  ASSERT_TRUE(fit);
  EXPECT_THAT(fit->weights,
              testing::Pointwise(testing::DoubleNear(1e-5), std::vector<double>{3, 2, 1}));
}

TEST(ConditionalLogit, RidgeSettlesChoicesThatAreAlwaysTheBest) {
  // Separable: without a ridge the optimum is at infinity.
  const std::vector<EncodedSlate> slates = {
      {.request = 1, .alternatives = 2, .features = {1, 0, 0, 0, 0, 0}, .chosen = {0}}};
  EXPECT_TRUE(fit_conditional_logit(slates, kWidth, {.ridge = 1e-3}));
}

TEST(ConditionalLogit, RefusesWhatItCannotFit) {
  Rng rng(4, "slates");
  auto slates = synthetic::draw_slates(rng, kTaste, 3);
  const auto code = [&](const ConditionalLogitOptions& options) {
    const auto fit = fit_conditional_logit(slates, kWidth, options);
    return fit ? std::string("none") : std::string(error_code_name(fit.error().code));
  };
  const std::string refused(error_code_name(ErrorCode::kInvalidArgument));
  EXPECT_EQ(code({}), "none");
  EXPECT_EQ(code({.ridge = 0}), refused);
  EXPECT_EQ(code({.towards = {1, 2}}), refused);
  slates[1].chosen = {slates[1].alternatives};
  EXPECT_EQ(code({}), refused);
  slates[1].chosen = {0};
  slates[1].features[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code({}), error_code_name(ErrorCode::kFailedPrecondition));
  slates.clear();
  EXPECT_EQ(code({}), refused);
}

TEST(ConditionalLogit, GraphAgreesWithTheFormula) {
  Rng rng(5, "slates");
  const auto slates = synthetic::draw_slates(rng, kTaste, 2, 4);
  Graph g;
  std::vector<float> features = slates[0].features;
  features.insert(features.end(), slates[1].features.begin(), slates[1].features.end());
  const ValueId x = g.constant(Tensor::from<float>({2, 4, 3}, std::span<const float>(features)));
  const ValueId w = g.variable("w", Tensor::from<float>({3, 1}, {1.0f, -0.5f, 0.25f}));
  g.output("utilities", append_conditional_logit(g, x, w));
  auto session = Session::create(g);
  ASSERT_TRUE(session) << session.error().message;
  session->run();
  const TensorView utilities = *session->output("utilities");
  ASSERT_EQ(utilities.shape(), (Shape{2, 4}));
  for (std::size_t i = 0; i < 8; ++i) {
    float expected = 0;
    for (std::size_t k = 0; k < kWidth; ++k)
      expected += features[i * kWidth + k] * static_cast<float>(kTaste[k]);
    EXPECT_NEAR(utilities.span<float>()[i], expected, 1e-6f);
  }
}

TEST(ConditionalLogit, GraphRefusesFeaturesThatAreNotSlates) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {4, 3}});
  const ValueId w = g.variable("w", Tensor::zeros({DType::kF32, {3, 1}}));
  EXPECT_EQ(append_conditional_logit(g, x, w), kNoValue);
  EXPECT_FALSE(g.status());
}

}  // namespace
}  // namespace inkling
