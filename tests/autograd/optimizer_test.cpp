// Each optimizer's step in f64 against PyTorch 1.13 and, where that has none, the paper's formula.

#include "autograd/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/ops.h"
#include "runtime/session.h"

namespace inkling {
namespace {

constexpr int kSteps = 10;
constexpr double kCurvature[] = {0.5, 1.0, 3.0}, kPull[] = {0.3, 0.1, -0.7};
constexpr double kStart[] = {1.0, -2.0, 0.5};

// The weights after some steps on sum(c w^2 / 2 - t w), whose gradient is c w - t.
std::vector<double> stepped(const Optimizer& optimizer, double rate, int steps = kSteps) {
  Graph g;
  const ValueId w = g.variable("w", Tensor::from<double>({3}, kStart));
  const ValueId gradient = sub(g, mul(g, w, g.constant(Tensor::from<double>({3}, kCurvature))),
                               g.constant(Tensor::from<double>({3}, kPull)));
  const StepInputs inputs{g.input("rate", {DType::kF64, {}}), g.input("step", {DType::kF64, {}})};
  std::vector<std::string> moments;
  append_step(g, optimizer, w, {gradient}, inputs, moments);
  auto session = Session::create(g);
  EXPECT_TRUE(session) << session.error().message;
  *session->input("rate")->as<double>() = rate;
  for (int step = 1; step <= steps; ++step) {
    *session->input("step")->as<double>() = step;
    session->run();
  }
  const auto values = session->variable("w")->span<double>();
  return {values.begin(), values.end()};
}

// torch.optim with lr=.05 and f64 tensors, the same ten steps.
TEST(Optimizer, TakesTheStepsOfPyTorch) {
  const std::pair<Optimizer, std::vector<double>> cases[] = {
      {Sgd{}, {0.91053184834257495, -1.1573475724005955, -0.088958770150136729}},
      {Sgd{.weight_decay = 0.1}, {0.86871206344746421, -1.0966445512451535, -0.091100149655110263}},
      {Sgd{.momentum = 0.9, .weight_decay = 0.1},
       {0.5256415966606176, 0.87394504247266858, -0.46979915868963695}},
      {Sgd{.momentum = 0.9, .weight_decay = 0.1, .nesterov = true},
       {0.51256542459714705, 0.72443683249466828, -0.30416230853051601}},
      {Adam{}, {0.55864908474871089, -1.5046725178405362, 0.01966925249050349}},
      {Adam{.weight_decay = 0.1},
       {0.53133797144590655, -1.4190009557597578, 0.0072696740305394567}},
      {Adagrad{.weight_decay = 0.1}, {0.776865600217992, -1.7549572615277818, 0.26739648593691984}},
      {RmsProp{.smoothing = 0.9, .weight_decay = 0.1},
       {0.51605854845064592, -1.2031606861285185, -0.11661740575449758}},
  };
  for (const auto& [optimizer, expected] : cases) {
    const auto values = stepped(optimizer, 0.05);
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(values[i], expected[i], 1e-12) << "optimizer " << optimizer.index();
  }
}

// McMahan et al., KDD 2013, algorithm 1, coordinate by coordinate: w from z and n, then the step.
TEST(Optimizer, FollowsAlgorithmOneOfFtrlProximal) {
  const double alpha = 0.1, beta = 0.5, l1 = 0.3, l2 = 0.2;
  const auto values = stepped(Ftrl{.beta = beta, .l1 = l1, .l2 = l2}, alpha);
  for (std::size_t i = 0; i < 3; ++i) {
    double w = kStart[i], z = 0, n = 0;
    for (int step = 0; step < kSteps; ++step) {
      const double gradient = kCurvature[i] * w - kPull[i];
      const double sigma = (std::sqrt(n + gradient * gradient) - std::sqrt(n)) / alpha;
      z += gradient - sigma * w;
      n += gradient * gradient;
      w = std::abs(z) <= l1
              ? 0.0
              : -1 / ((beta + std::sqrt(n)) / alpha + l2) * (z - (z < 0 ? -1 : 1) * l1);
    }
    EXPECT_NEAR(values[i], w, 1e-12);
  }
}

TEST(Optimizer, FtrlKeepsWeightsAtZeroThatAreNotWorthL1) {
  EXPECT_EQ(stepped(Ftrl{.l1 = 100}, 0.1), (std::vector<double>{0, 0, 0}));
  // A rate of zero is no step.
  EXPECT_EQ(stepped(Ftrl{.l1 = 100}, 0.0),
            std::vector<double>(std::begin(kStart), std::end(kStart)));
}

// The gradient of the first weight is zero at every step.
TEST(Optimizer, FtrlLeavesWeightsAloneThatHaveSeenNoGradient) {
  Graph g;
  const ValueId w = g.variable("w", Tensor::from<float>({2}, {1, 1}));
  const StepInputs inputs{g.input("rate", {DType::kF32, {}}), g.input("step", {DType::kF32, {}})};
  std::vector<std::string> moments;
  const ValueId gradient = mul(g, w, g.constant(Tensor::from<float>({2}, {0, 1})));
  append_step(g, Ftrl{}, w, {gradient}, inputs, moments);
  for (const bool reference : {false, true}) {
    auto session = Session::create(g, {.reference_only = reference});
    ASSERT_TRUE(session);
    *session->input("rate")->as<float>() = 0.5f;
    session->run();
    EXPECT_EQ(session->variable("w")->as<float>()[0], 1.0f);
    EXPECT_EQ(session->variable("w")->as<float>()[1], 0.5f);
  }
}

TEST(Optimizer, MakesNoMomentThatItDoesNotNeed) {
  Graph g;
  const ValueId w = g.variable("w", Tensor::zeros({DType::kF32, {3}}));
  const StepInputs inputs{g.input("rate", {DType::kF32, {}}), g.input("step", {DType::kF32, {}})};
  std::vector<std::string> moments;
  append_step(g, Sgd{}, w, {scale(g, w, 2)}, inputs, moments);
  EXPECT_TRUE(moments.empty());
  EXPECT_EQ(g.variables().size(), 1u);
}

TEST(Optimizer, RefusesMomentumWithoutAVelocity) {
  Graph g;
  const ValueId w = g.variable("w", Tensor::zeros({DType::kF32, {3}}));
  sgd_step(g, w, w, kNoValue, g.input("rate", {DType::kF32, {}}), 0.9, 0);
  ASSERT_FALSE(g.status());
  EXPECT_NE(g.status().error().message.find("velocity"), std::string::npos);
}

}  // namespace
}  // namespace inkling
