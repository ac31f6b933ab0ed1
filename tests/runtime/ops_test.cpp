// Known values: a few small cases by hand for each op family, so that the references are tested
// too.

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/ops.h"
#include "tests/runtime/support.h"

namespace inkling {
namespace {

std::vector<float> evaluate(Graph& g, ValueId y) {
  g.output("y", y);
  EXPECT_TRUE(g.status()) << g.status().error().message;
  return test::run(g, {.optimize = false, .reference_only = true}, 0)[0];
}

TEST(Gather, GivesZerosForRowsThatAreNotThere) {
  Graph g;
  const ValueId table = g.constant(Tensor::from<float>({3, 2}, {1, 2, 3, 4, 5, 6}));
  const ValueId picks = g.constant(Tensor::from<std::int32_t>({4}, {2, -3, 3, -4}));
  EXPECT_EQ(evaluate(g, gather(g, table, picks, 0)), (std::vector<float>{5, 6, 1, 2, 0, 0, 0, 0}));
}

TEST(ScatterAdd, SumsRowsNamedTwiceAndLeavesOutWhatIsNotThere) {
  Graph g;
  const ValueId picks = g.constant(Tensor::from<std::int64_t>({4}, {1, -1, 1, 3}));
  const ValueId rows = g.constant(Tensor::from<float>({4, 1}, {1, 10, 100, 1000}));
  EXPECT_EQ(evaluate(g, scatter_add(g, picks, rows, 0, {3, 1})), (std::vector<float>{0, 101, 10}));
}

TEST(Scatter, TheLaterOfTwoWritesStays) {
  Graph set, product;
  const auto run = [](Graph& g, ScatterMode mode) {
    const ValueId x = g.constant(Tensor::from<float>({3}, {1, 2, 3}));
    const ValueId picks = g.constant(Tensor::from<std::int64_t>({3}, {0, 0, -1}));
    return evaluate(g, scatter(g, x, picks, g.constant(Tensor::from<float>({3}, {5, 6, 7})), mode));
  };
  EXPECT_EQ(run(set, ScatterMode::kSet), (std::vector<float>{6, 2, 7}));
  EXPECT_EQ(run(product, ScatterMode::kMul), (std::vector<float>{30, 2, 21}));
}

TEST(Conv2d, SumsTheWindowOfEachChannel) {
  Graph g;
  const ValueId x = g.constant(Tensor::from<float>({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9}));
  const ValueId w = g.constant(Tensor::from<float>({2, 2, 1, 1}, {1, 10, 100, 1000}));
  EXPECT_EQ(evaluate(g, conv2d(g, x, w, {})), (std::vector<float>{5421, 6532, 8754, 9865}));
}

TEST(Conv2d, PaddingCountsAsZeros) {
  Graph g;
  const ValueId x = g.constant(Tensor::from<float>({1, 2, 2, 1}, {1, 2, 3, 4}));
  const ValueId w = g.constant(Tensor::from<float>({3, 3, 1, 1}, {0, 0, 0, 0, 1, 0, 0, 0, 1}));
  EXPECT_EQ(evaluate(g, conv2d(g, x, w, {.pads = {1, 1, 1, 1}})), (std::vector<float>{5, 2, 3, 4}));
}

TEST(DepthwiseConv2d, KeepsChannelsApart) {
  Graph g;
  const ValueId x = g.constant(Tensor::from<float>({1, 1, 2, 2}, {1, 2, 3, 4}));
  const ValueId w = g.constant(Tensor::from<float>({1, 2, 2}, {1, 10, 100, 1000}));
  EXPECT_EQ(evaluate(g, depthwise_conv2d(g, x, w, {})), (std::vector<float>{301, 4020}));
}

TEST(Pooling, LeavesPaddingOutOfMaximaAndMeans) {
  Graph maximum, mean, padded;
  const auto image = [](Graph& g) {
    return g.constant(Tensor::from<float>({1, 2, 2, 1}, {-1, -2, -3, -4}));
  };
  const Window window{.strides = {2, 2}, .pads = {1, 1, 1, 1}};
  EXPECT_EQ(evaluate(maximum, max_pool(maximum, image(maximum), {2, 2}, window)),
            (std::vector<float>{-1, -2, -3, -4}));
  EXPECT_EQ(evaluate(mean, avg_pool(mean, image(mean), {2, 2}, window)),
            (std::vector<float>{-1, -2, -3, -4}));
  EXPECT_EQ(evaluate(padded, avg_pool(padded, image(padded), {2, 2}, window, true)),
            (std::vector<float>{-0.25f, -0.5f, -0.75f, -1}));
}

TEST(Softmax, RowsSumToOneAtHugeLogits) {
  Graph g;
  const auto y =
      evaluate(g, softmax(g, g.constant(Tensor::from<float>({2, 2}, {1e30f, -1e30f, 1000, 1000}))));
  EXPECT_EQ(y, (std::vector<float>{1, 0, 0.5f, 0.5f}));
}

TEST(LogSoftmax, StaysFiniteWhereSoftmaxUnderflows) {
  Graph g;
  const auto y = evaluate(g, log_softmax(g, g.constant(Tensor::from<float>({1, 2}, {0, -1000}))));
  EXPECT_EQ(y, (std::vector<float>{0, -1000}));
}

TEST(Shape, MovesNumbersWhereTheyBelong) {
  Graph g1, g2, g3, g4, g5;
  const auto matrix = [](Graph& g) {
    return g.constant(Tensor::from<float>({2, 3}, {1, 2, 3, 4, 5, 6}));
  };
  EXPECT_EQ(evaluate(g1, transpose(g1, matrix(g1), {1, 0})),
            (std::vector<float>{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(evaluate(g2, sum_to(g2, matrix(g2), {3})), (std::vector<float>{5, 7, 9}));
  EXPECT_EQ(evaluate(g3, slice(g3, matrix(g3), {0, 1}, {2, 2})), (std::vector<float>{2, 3, 5, 6}));
  EXPECT_EQ(evaluate(g4, pad(g4, matrix(g4), {0, 1}, {1, 0})),
            (std::vector<float>{0, 1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0}));
  const std::vector<ValueId> parts = {matrix(g5), g5.constant(Tensor::from<float>({2, 1}, {7, 8}))};
  EXPECT_EQ(evaluate(g5, concat(g5, parts, 1)), (std::vector<float>{1, 2, 3, 7, 4, 5, 6, 8}));
}

TEST(Broadcasting, FollowsNumPy) {
  Graph g;
  const ValueId a = g.constant(Tensor::from<float>({2, 1}, {10, 20}));
  const ValueId b = g.constant(Tensor::from<float>({3}, {1, 2, 3}));
  EXPECT_EQ(evaluate(g, add(g, a, b)), (std::vector<float>{11, 12, 13, 21, 22, 23}));
}

TEST(AdamStep, FollowsAlgorithmOne) {
  Graph g;
  const auto c = [&](float v) { return g.constant(Tensor::from<float>({1}, {v})); };
  const AdamStep next =
      adam_step(g, c(1), c(0.5f), c(0.2f), c(0.04f), g.constant(Tensor::scalar(0.1f)),
                g.constant(Tensor::scalar(2.0f)), 0.9, 0.99, 1e-8, 0.5);
  g.output("m", next.first_moment);
  g.output("v", next.second_moment);
  const double m = 0.9 * 0.2 + 0.1 * 0.5, v = 0.99 * 0.04 + 0.01 * 0.25;
  const double w = 1 - 0.1 * (m / (1 - 0.81) / (std::sqrt(v / (1 - 0.9801)) + 1e-8) + 0.5 * 1);
  g.output("w", next.weights);
  const auto results = test::run(g, {.optimize = false, .reference_only = true}, 0);
  EXPECT_NEAR(results[0][0], m, 1e-7);
  EXPECT_NEAR(results[1][0], v, 1e-7);
  EXPECT_NEAR(results[2][0], w, 1e-6);
}

}  // namespace
}  // namespace inkling
