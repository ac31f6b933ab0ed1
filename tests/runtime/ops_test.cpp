// Known values: a few small cases by hand for each op family, so that the references are tested
// too.

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

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

// The numbers of y, whatever their type, as the graph gives them.
template <typename T>
std::vector<T> evaluate_as(Graph& g, ValueId y) {
  g.output("y", y);
  auto session = Session::create(g, {.optimize = false, .reference_only = true});
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  session->run();
  const auto span = session->output("y")->span<T>();
  return {span.begin(), span.end()};
}

template <typename T>
ValueId list(Graph& g, std::initializer_list<T> values) {
  return g.constant(Tensor::from<T>({static_cast<std::int64_t>(values.size())}, values));
}

TEST(Integers, WrapAroundAndNeverTrap) {
  Graph sum, product, quotient, rest, power;
  const std::int32_t low = INT32_MIN, high = INT32_MAX;
  EXPECT_EQ(evaluate_as<std::int32_t>(sum, add(sum, list<std::int32_t>(sum, {high, low}),
                                               list<std::int32_t>(sum, {1, -1}))),
            (std::vector<std::int32_t>{low, high}));
  EXPECT_EQ(evaluate_as<std::uint16_t>(product, mul(product, list<std::uint16_t>(product, {65535}),
                                                    list<std::uint16_t>(product, {65535}))),
            (std::vector<std::uint16_t>{1}));
  EXPECT_EQ(
      evaluate_as<std::int32_t>(quotient, div(quotient, list<std::int32_t>(quotient, {low, 7, -7}),
                                              list<std::int32_t>(quotient, {-1, 0, 2}))),
      (std::vector<std::int32_t>{low, 0, -3}));
  EXPECT_EQ(evaluate_as<std::int32_t>(rest, mod(rest, list<std::int32_t>(rest, {-7, 7, low, 5}),
                                                list<std::int32_t>(rest, {3, -3, -1, 0}))),
            (std::vector<std::int32_t>{2, -2, 0, 0}));
  EXPECT_EQ(evaluate_as<std::int64_t>(power, pow(power, list<std::int64_t>(power, {3, -2, 2, 1}),
                                                 list<std::int64_t>(power, {4, 3, -1, -5}))),
            (std::vector<std::int64_t>{81, -8, 0, 1}));
}

TEST(Cast, RoundsTowardsZeroWithinBoundsAndTakesLowBits) {
  Graph bytes, narrow, truth, wide;
  EXPECT_EQ(evaluate_as<std::uint8_t>(
                bytes, cast(bytes, list<float>(bytes, {2.9f, -1.0f, 300.0f, NAN}), DType::kU8)),
            (std::vector<std::uint8_t>{2, 0, 255, 0}));
  EXPECT_EQ(evaluate_as<std::int8_t>(
                narrow, cast(narrow, list<std::int32_t>(narrow, {128, -129, 5}), DType::kI8)),
            (std::vector<std::int8_t>{-128, 127, 5}));
  EXPECT_EQ(evaluate_as<bool>(truth, cast(truth, list<float>(truth, {0.0f, 0.5f}), DType::kBool)),
            (std::vector<bool>{false, true}));
  const std::int64_t odd = (std::int64_t{1} << 53) + 1;  // no f64 holds it
  EXPECT_EQ(
      evaluate_as<std::int64_t>(
          wide, cast(wide, cast(wide, list<std::int64_t>(wide, {odd}), DType::kU64), DType::kI64)),
      (std::vector<std::int64_t>{odd}));
}

TEST(Logic, ComparesAndChooses) {
  Graph less_than, chosen, shifted;
  EXPECT_EQ(evaluate_as<bool>(less_than, less(less_than, list<float>(less_than, {1, 2, NAN}),
                                              list<float>(less_than, {2, 2, 0}))),
            (std::vector<bool>{true, false, false}));
  EXPECT_EQ(evaluate_as<std::int64_t>(chosen, where(chosen, list<bool>(chosen, {true, false}),
                                                    list<std::int64_t>(chosen, {1, 2}),
                                                    list<std::int64_t>(chosen, {-1}))),
            (std::vector<std::int64_t>{1, -1}));
  EXPECT_EQ(evaluate_as<std::uint8_t>(shifted,
                                      shift_left(shifted, list<std::uint8_t>(shifted, {129, 1, 1}),
                                                 list<std::uint8_t>(shifted, {1, 7, 8}))),
            (std::vector<std::uint8_t>{2, 128, 0}));
}

TEST(TopK, KeepsTheFirstOfEqualsAndOrdersTheRest) {
  Graph g;
  const TopK best = top_k(g, list<float>(g, {2, 5, 1, 5, 3}), 3);
  g.output("values", best.values);
  EXPECT_EQ(evaluate_as<std::int64_t>(g, best.places), (std::vector<std::int64_t>{1, 3, 4}));
}

TEST(Reductions, OfIntegersAndRunningSums) {
  Graph largest, running;
  const ValueId x = largest.constant(Tensor::from<std::int8_t>({2, 2}, {-5, -128, 3, -1}));
  EXPECT_EQ(evaluate_as<std::int8_t>(largest, max_to(largest, x, {2, 1})),
            (std::vector<std::int8_t>{-5, 3}));
  EXPECT_EQ(
      evaluate_as<float>(running, cumsum(running, list<float>(running, {1, 2, 4}), 0, true, true)),
      (std::vector<float>{6, 4, 0}));
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

TEST(CoalesceRows, AddsUpWhatGoesToOneRow) {
  Graph g;
  const ValueId indices = g.constant(Tensor::from<std::int64_t>({5}, {2, -3, 7, 2, -1}));
  const ValueId updates =
      g.constant(Tensor::from<float>({5, 2}, {1, 2, 3, 4, 5, 6, 10, 20, 100, 200}));
  const CoalescedRows once = coalesce_rows(g, indices, updates, 3);  // 7 is no row
  g.output("rows", cast(g, once.rows, DType::kF32));
  g.output("values", once.values);
  for (const bool reference : {true, false}) {
    const auto results = test::run(g, {.optimize = false, .reference_only = reference}, 0);
    EXPECT_EQ(results[0], (std::vector<float>{0, 2, 3, 3, 3}));
    EXPECT_EQ(results[1], (std::vector<float>{3, 4, 111, 222, 0, 0, 0, 0, 0, 0}));
  }
}

// The variable is written where it lies: nothing of its size is in the arena.
TEST(Scatter, UpdatesAVariableInPlace) {
  Graph g;
  const ValueId table = g.variable("table", Tensor::zeros({DType::kF32, {1000, 4}}));
  const ValueId rows = g.input("rows", {DType::kI64, {2}});
  const ValueId read = gather(g, table, rows, 0);
  g.update(table, scatter(g, table, rows, shift(g, read, 1)));
  auto session = Session::create(g);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_LT(session->arena_bytes(), 1000u);
  session->input("rows")->span<std::int64_t>()[0] = 5;
  session->input("rows")->span<std::int64_t>()[1] = -1;
  session->run();
  session->run();
  const auto values = session->variable("table")->span<float>();
  EXPECT_EQ(values[5 * 4], 2);
  EXPECT_EQ(values[999 * 4 + 3], 2);
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0.0f), 16);
}

// Where the old value is read later it must not be overwritten.
TEST(Scatter, LeavesAVariableAloneThatIsReadLater) {
  Graph g;
  const ValueId table = g.variable("table", Tensor::zeros({DType::kF32, {10, 4}}));
  const ValueId rows = g.constant(Tensor::from<std::int64_t>({1}, {5}));
  const ValueId ones = g.constant(Tensor::from<float>({1, 4}, {1, 1, 1, 1}));
  g.update(table, scatter(g, table, rows, ones));
  g.output("before", sum(g, table));
  auto session = Session::create(g);
  ASSERT_TRUE(session) << session.error().message;
  session->run();
  EXPECT_EQ(*session->output("before")->as<float>(), 0);
  session->run();
  EXPECT_EQ(*session->output("before")->as<float>(), 4);
}

}  // namespace
}  // namespace inkling
