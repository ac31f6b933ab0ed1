// Losses against PyTorch 1.13 in f64 and, where that has none, against their formula.

#include "autograd/losses.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/differentiate.h"
#include "runtime/ops.h"
#include "runtime/session.h"

namespace inkling {
namespace {

double evaluate(Graph g, ValueId value) {
  EXPECT_TRUE(g.status()) << g.status().error().message;
  g.output("loss", value);
  auto session = Session::create(g);
  EXPECT_TRUE(session) << session.error().message;
  session->run();
  return session->output("loss")->span<double>()[0];
}

// Two rows of three numbers.
ValueId matrix(Graph& g, const std::vector<double>& values) {
  return g.constant(Tensor::from<double>({2, 3}, values));
}

const std::vector<double> kA = {0.5, -1.0, 2.0, 1.5, 0.2, -0.7};
const std::vector<double> kB = {0.1, 0.9, 1.0, -0.3, 0.4, 0.8};
const std::vector<double> kC = {-0.6, 1.1, 0.3, 0.7, -1.2, 0.25};

TEST(Losses, AgreeWithPyTorch) {
  Graph g;
  const ValueId a = matrix(g, kA), b = matrix(g, kB);
  const ValueId shares = matrix(g, {0.1, 0.9, 1.0, 0.3, 0.0, 0.8});
  const ValueId targets = matrix(g, {0, 0, 1, 1, 0, 0});
  EXPECT_NEAR(evaluate(g, mean_squared_error(g, a, b)), 1.71666666666667, 1e-12);
  EXPECT_NEAR(evaluate(g, mean_absolute_error(g, a, b)), 1.13333333333333, 1e-12);
  EXPECT_NEAR(evaluate(g, huber(g, a, b, 0.7)), 0.576666666666667, 1e-12);
  EXPECT_NEAR(evaluate(g, sigmoid_cross_entropy(g, a, shares)), 0.879500813165184, 1e-12);
  EXPECT_NEAR(evaluate(g, softmax_cross_entropy(g, a, targets)), 0.282904255957538, 1e-12);
  EXPECT_NEAR(evaluate(g, distillation(g, a, b, targets, 3, 0.7)), 7.52805058088682, 1e-12);
  EXPECT_NEAR(evaluate(g, pairwise_ranking(g, a, b)), 0.919698909348592, 1e-12);
  EXPECT_NEAR(evaluate(g, listnet(g, a, b)), 1.76865692817354, 1e-12);
  EXPECT_NEAR(evaluate(g, triplet(g, a, b, matrix(g, kC), 0.5)), 1.26375, 1e-12);
  EXPECT_NEAR(evaluate(g, info_nce(g, unit_rows(g, a), unit_rows(g, b), 0.3)), 1.26952025157893,
              1e-9);
}

TEST(Losses, SmoothingMovesTargetsToTheMiddle) {
  Graph g;
  const ValueId a = matrix(g, kA);
  const double smoothed =
      evaluate(g, sigmoid_cross_entropy(g, a, matrix(g, {0, 0, 1, 1, 0, 0}), 0.2));
  const double moved =
      evaluate(g, sigmoid_cross_entropy(g, a, matrix(g, {.1, .1, .9, .9, .1, .1})));
  EXPECT_NEAR(smoothed, moved, 1e-12);
}

// Burges et al.: -log sigmoid(s_i - s_j) over pairs with i more relevant than j.
TEST(Losses, RanknetCountsEachPairThatIsToldApart) {
  Graph g;
  const std::vector<double> relevance = {2, 0, 1, 1, 1, 1};
  const auto pair = [](double better, double worse) {
    return std::log1p(std::exp(worse - better));
  };
  const double expected = (pair(0.5, -1) + pair(0.5, 2) + pair(2, -1)) / 3;
  EXPECT_NEAR(evaluate(g, ranknet(g, matrix(g, kA), matrix(g, relevance))), expected, 1e-12);
  EXPECT_EQ(evaluate(g, ranknet(g, matrix(g, kA), matrix(g, {1, 1, 1, 0, 0, 0}))), 0);
}

TEST(Losses, SigmoidCrossEntropyIsRightAtZeroAndFarFromIt) {
  Graph g;
  const ValueId x = g.constant(Tensor::from<double>({4}, {0, 0, 900, -900}));
  const ValueId logits = g.variable("logits", Tensor::from<double>({4}, {0, 0, 900, -900}));
  const ValueId targets = g.constant(Tensor::from<double>({4}, {0, 1, 1, 1}));
  EXPECT_NEAR(evaluate(g, sigmoid_cross_entropy(g, x, targets)), (2 * std::log(2.0) + 900) / 4,
              1e-9);
  const auto gradients =
      differentiate(g, sigmoid_cross_entropy(g, logits, targets), std::vector<ValueId>{logits});
  ASSERT_TRUE(gradients);
  g.output("gradient", (*gradients)[0]);
  auto session = Session::create(g);
  ASSERT_TRUE(session);
  session->run();
  const auto gradient = session->output("gradient")->span<double>();
  const double expected[] = {0.5 / 4, -0.5 / 4, 0, -1.0 / 4};  // (sigmoid(x) - t) / n
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(gradient[i], expected[i], 1e-12) << i;
}

TEST(Losses, RefuseWhatDoesNotFit) {
  const auto message = [](const auto& build) {
    Graph g;
    const ValueId a = g.input("a", {DType::kF32, {2, 3}}), b = g.input("b", {DType::kF32, {3, 2}});
    build(g, a, b);
    return g.status() ? std::string() : g.status().error().message;
  };
  EXPECT_NE(message([](Graph& g, ValueId a, ValueId b) { mean_squared_error(g, a, b); }), "");
  EXPECT_NE(message([](Graph& g, ValueId a, ValueId b) { listnet(g, a, b); }), "");
  EXPECT_NE(message([](Graph& g, ValueId a, ValueId b) { triplet(g, a, a, b); }), "");
  EXPECT_NE(message([](Graph& g, ValueId a, ValueId) { huber(g, a, a, 0); }), "");
  EXPECT_NE(message([](Graph& g, ValueId a, ValueId) { info_nce(g, a, a, 0); }), "");
  EXPECT_NE(message([](Graph& g, ValueId a, ValueId) { distillation(g, a, a, a, -1); }), "");
}

}  // namespace
}  // namespace inkling
