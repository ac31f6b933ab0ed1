#include "runtime/passes/passes.h"

#include <gtest/gtest.h>

#include <functional>

#include "runtime/ops.h"
#include "tests/runtime/support.h"

namespace inkling {
namespace {

std::size_t count(const Graph& g, OpKind op) {
  return static_cast<std::size_t>(
      std::count_if(g.nodes().begin(), g.nodes().end(), [&](const Node& n) { return n.op == op; }));
}

void expect_same(const Graph& before, const Graph& after) {
  const PlanOptions plain{.optimize = false, .reference_only = true};
  EXPECT_LT(test::difference(test::run(after, plain, 3), test::run(before, plain, 3)), 1e-5);
}

Tensor random(Shape shape, std::uint64_t seed) {
  Rng rng(seed, "constant");
  return test::random_tensor({DType::kF32, shape}, rng);
}

TEST(Eliminate, DropsWhatNothingNeeds) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {2}});
  exp(g, x);
  g.output("y", neg(g, x));
  const auto after = eliminate(g);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->nodes().size(), 1u);
  expect_same(g, *after);
}

TEST(FoldConstants, ComputesWhatDoesNotDependOnInputs) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {3}});
  const ValueId c = exp(g, add(g, g.constant(random({3}, 1)), g.constant(random({3}, 2))));
  g.output("y", mul(g, x, c));
  const auto after = fold_constants(g);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->nodes().size(), 1u);
  expect_same(g, *after);
}

// 1 / sqrt(variance + epsilon), with the epsilon repeated for each of many channels.
TEST(FoldConstants, ComputesTheScalesOfABatchNormOfAnyWidth) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {1, 2, 2, 2048}});
  const ValueId variance = abs(g, g.constant(random({2048}, 1)));
  g.output("y", div(g, x, sqrt(g, shift(g, variance, 1e-3))));
  const auto after = fold_constants(g);
  ASSERT_TRUE(after);
  EXPECT_EQ(count(*after, OpKind::kSqrt), 0u);
}

// A bias on a small picture: as a whole picture of constants it could not be fused.
TEST(FoldConstants, KeepsARepetitionThatMeetsAResult) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {1, 6, 6, 4}});
  g.output("y", add(g, x, g.constant(random({1, 1, 1, 4}, 1))));
  const auto after = fold_constants(g);
  ASSERT_TRUE(after);
  EXPECT_EQ(count(*after, OpKind::kBroadcastTo), 1u);
}

TEST(FoldConstants, DoesNotBlowUpARepetition) {
  Graph g;
  g.output("y", broadcast_to(g, g.constant(random({1}, 1)), {1000, 1000}));
  const auto after = fold_constants(g);
  ASSERT_TRUE(after);
  EXPECT_EQ(count(*after, OpKind::kBroadcastTo), 1u);
}

TEST(Share, ComputesEqualNodesOnce) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {3}});
  g.output("y", add(g, scale(g, exp(g, x), 2), scale(g, exp(g, x), 2)));
  const auto after = share(g);
  ASSERT_TRUE(after);
  EXPECT_EQ(count(*after, OpKind::kExp), 1u);
  EXPECT_EQ(count(*after, OpKind::kMul), 1u);
  expect_same(g, *after);
}

// As an importer of channels-first models leaves it: every convolution between two transposes.
ValueId conv_nchw(Graph& g, ValueId x, std::int64_t in, std::int64_t out, std::uint64_t seed) {
  const ValueId y = conv2d(g, transpose(g, x, {0, 2, 3, 1}),
                           g.constant(random({3, 3, in, out}, seed)), {.pads = {1, 1, 1, 1}});
  return transpose(g, y, {0, 3, 1, 2});
}

ValueId channel(Graph& g, std::int64_t channels, std::uint64_t seed) {
  return g.constant(random({1, channels, 1, 1}, seed));
}

Graph channels_first_network() {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {2, 3, 6, 6}});
  ValueId a = conv_nchw(g, x, 3, 8, 1);
  a = relu(g, add(g, mul(g, a, channel(g, 8, 2)), channel(g, 8, 3)));
  const ValueId b = relu(g, add(g, conv_nchw(g, a, 8, 8, 4), a));
  // Squeeze and excite: pooled, gated, repeated.
  const ValueId pooled = mean_axes(g, b, std::vector<std::int64_t>{2, 3});
  const ValueId gated = mul(g, b, sigmoid(g, pooled));
  const ValueId last = mean_axes(g, hard_swish(g, gated), std::vector<std::int64_t>{2, 3});
  g.output("y", matmul(g, reshape(g, last, {2, 8}), g.constant(random({8, 5}, 6))));
  return g;
}

TEST(SinkTransposes, RunsAChannelsFirstNetworkChannelsLastThroughout) {
  const Graph g = channels_first_network();
  const auto after = sink_transposes(g);
  ASSERT_TRUE(after) << after.error().message;
  expect_same(g, *after);
  const auto optimised = optimize(g);
  ASSERT_TRUE(optimised) << optimised.error().message;
  EXPECT_EQ(count(*optimised, OpKind::kTranspose), 1u);  // of the input
  expect_same(g, *optimised);
}

TEST(SinkTransposes, TurnsAttributesOfEveryAxisAwareOp) {
  Graph g;
  const ValueId x = transpose(g, g.input("x", {DType::kF32, {2, 3, 4, 5}}), {0, 3, 1, 2});
  const ValueId cut = slice(g, pad(g, x, {0, 1, 0, 2}, {1, 0, 0, 0}), {1, 2, 0, 1}, {2, 3, 3, 4});
  const std::vector<ValueId> parts = {cut, exp(g, cut)};
  const ValueId joined = concat(g, parts, 2);
  g.output(
      "y",
      sum_to(g, broadcast_to(g, mean_axes(g, joined, std::vector<std::int64_t>{1}), {2, 7, 6, 4}),
             {2, 7, 1, 1}));
  const auto after = sink_transposes(g);
  ASSERT_TRUE(after) << after.error().message;
  expect_same(g, *after);
}

TEST(Fuse, FoldsBatchNormBiasAndClampIntoTheConvolution) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {2, 6, 6, 3}});
  const ValueId y = conv2d(g, x, g.constant(random({3, 3, 3, 8}, 1)), {});
  g.output("y",
           relu6(g, add(g, mul(g, y, g.constant(random({8}, 2))), g.constant(random({8}, 3)))));
  const auto scaled = fold_scales(g);
  ASSERT_TRUE(scaled) << scaled.error().message;
  const auto after = fuse(*scaled);
  ASSERT_TRUE(after) << after.error().message;
  ASSERT_EQ(after->nodes().size(), 1u);
  EXPECT_EQ(after->nodes()[0].inputs.size(), 3u);
  EXPECT_EQ(after->nodes()[0].attrs.real(Attr::kMax), 6.0);
  expect_same(g, *after);
}

TEST(Fuse, LeavesALinearNodeThatSomeoneElseReads) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {4, 6}});
  const ValueId y = matmul(g, x, g.constant(random({6, 8}, 1)));
  g.output("raw", y);
  g.output("y", relu(g, add(g, y, g.constant(random({8}, 2)))));
  const auto after = fuse(g);
  ASSERT_TRUE(after);
  EXPECT_EQ(count(*after, OpKind::kMatmul), 1u);
  EXPECT_EQ(count(*after, OpKind::kClamp), 1u);
  expect_same(g, *after);
}

TEST(Fuse, TakesAResidualAndTheClampBehindItIntoTheConvolution) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {1, 5, 5, 4}});
  const ValueId y =
      add(g, conv2d(g, x, g.constant(random({3, 3, 4, 4}, 1)), {.pads = {1, 1, 1, 1}}),
          g.constant(random({4}, 2)));
  g.output("y", relu(g, add(g, x, y)));
  const auto after = fuse(g);
  ASSERT_TRUE(after) << after.error().message;
  ASSERT_EQ(after->nodes().size(), 1u);
  EXPECT_EQ(after->nodes()[0].inputs.size(), 4u);
  expect_same(g, *after);
}

TEST(Fuse, SeesThroughAReshapeThatKeepsTheChannels) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {2, 3, 4}});
  const ValueId r = g.input("r", {DType::kF32, {2, 3, 5}});
  ValueId y = matmul(g, reshape(g, x, {6, 4}), g.constant(random({4, 5}, 1)));
  y = add(g, reshape(g, y, {2, 3, 5}), g.constant(random({5}, 2)));
  g.output("y", relu(g, add(g, y, r)));
  const auto after = fuse(g);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(count(*after, OpKind::kAdd), 0u);
  EXPECT_EQ(count(*after, OpKind::kClamp), 0u);
  expect_same(g, *after);
}

TEST(Fuse, LeavesALinearNodeWhoseReshapeSomeoneElseReads) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {6, 4}});
  const ValueId y = matmul(g, x, g.constant(random({4, 5}, 1)));
  g.output("raw", y);
  g.output("y", add(g, reshape(g, y, {2, 3, 5}), g.constant(random({5}, 2))));
  const auto after = fuse(g);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(count(*after, OpKind::kMatmul), 1u);
  EXPECT_EQ(count(*after, OpKind::kAdd), 1u);
  expect_same(g, *after);
}

TEST(Fuse, LeavesAResidualBesideADepthwiseConvolution) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {1, 5, 5, 4}});
  const ValueId y =
      add(g, depthwise_conv2d(g, x, g.constant(random({3, 3, 4}, 1)), {.pads = {1, 1, 1, 1}}),
          g.constant(random({4}, 2)));
  g.output("y", add(g, x, y));
  const auto after = fuse(g);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(count(*after, OpKind::kAdd), 1u);
  expect_same(g, *after);
}

TEST(Fuse, DoesNotMoveAScaleBehindAClamp) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {4, 6}});
  const ValueId y = relu(g, matmul(g, x, g.constant(random({6, 8}, 1))));
  g.output("y", mul(g, y, g.constant(random({8}, 2))));
  const auto after = fuse(g);
  ASSERT_TRUE(after);
  EXPECT_EQ(count(*after, OpKind::kMul), 1u);
  expect_same(g, *after);
}

Graph inverted_residual(std::int64_t side) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {1, side, side, 8}});
  ValueId y = conv2d(g, x, g.constant(random({1, 1, 8, 96}, 1)), {});
  y = clamp(g, add(g, y, g.constant(random({96}, 2))), 0, 6);
  y = depthwise_conv2d(g, y, g.constant(random({3, 3, 96}, 3)),
                       {.strides = {2, 2}, .pads = {1, 1, 1, 1}});
  g.output("y", relu(g, add(g, y, g.constant(random({96}, 4)))));
  return *fuse(g);
}

TEST(FuseExpansions, JoinsALargeExpandedImageToItsReader) {
  const Graph g = inverted_residual(56);
  const auto after = fuse_expansions(g);
  ASSERT_TRUE(after) << after.error().message;
  ASSERT_EQ(after->nodes().size(), 1u);
  EXPECT_EQ(after->nodes()[0].op, OpKind::kExpandedDepthwiseConv2d);
  expect_same(g, *after);
}

TEST(FuseExpansions, LeavesASmallImageAndOneWithAnotherReader) {
  const auto small = fuse_expansions(inverted_residual(16));
  ASSERT_TRUE(small);
  EXPECT_EQ(count(*small, OpKind::kExpandedDepthwiseConv2d), 0u);
  Graph g = inverted_residual(56);
  g.output("expanded", g.nodes()[0].outputs[0]);
  const auto read_twice = fuse_expansions(g);
  ASSERT_TRUE(read_twice);
  EXPECT_EQ(count(*read_twice, OpKind::kExpandedDepthwiseConv2d), 0u);
}

TEST(Distribute, MultipliesWhatIsRepeatedBeforeItIsRepeated) {
  Graph g;
  const ValueId past = g.input("past", {DType::kF32, {1, 6, 4}});
  const ValueId candidates = g.input("candidates", {DType::kF32, {8, 1, 4}});
  const Shape all{8, 6, 4};
  const ValueId seen = broadcast_to(g, past, all), asking = broadcast_to(g, candidates, all);
  const std::vector<ValueId> parts = {seen, asking, sub(g, seen, asking), mul(g, seen, asking)};
  const ValueId rows = reshape(g, concat(g, parts, 2), {48, 16});
  g.output("y", matmul(g, rows, g.constant(random({16, 5}, 1))));
  auto after = distribute(g);
  ASSERT_TRUE(after) << after.error().message;
  expect_same(g, *after);
  after = fold_constants(*after);
  ASSERT_TRUE(after) << after.error().message;
  std::vector<std::int64_t> products;
  for (const Node& node : after->nodes()) {
    if (node.op == OpKind::kMatmul) products.push_back(after->shape(node.inputs[0]).elements());
  }
  EXPECT_EQ(products, (std::vector<std::int64_t>{48 * 4, 6 * 4, 8 * 4}));
}

TEST(Distribute, LeavesAConcatenationOfWholeParts) {
  Graph g;
  const ValueId a = g.input("a", {DType::kF32, {6, 4}}), b = g.input("b", {DType::kF32, {6, 3}});
  const std::vector<ValueId> parts = {a, b};
  g.output("y", matmul(g, concat(g, parts, 1), g.constant(random({7, 5}, 1))));
  const auto after = distribute(g);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(count(*after, OpKind::kMatmul), 1u);
  EXPECT_EQ(count(*after, OpKind::kConcat), 1u);
  expect_same(g, *after);
}

// conv -> bias -> scale -> shift -> relu -> conv, as a batch norm after a convolution with a bias.
Graph scaled_network() {
  Graph g;
  ValueId x = g.input("x", {DType::kF32, {1, 5, 5, 3}});
  x = conv2d(g, x, g.constant(random({3, 3, 3, 4}, 1)), {.pads = {1, 1, 1, 1}});
  x = add(g, x, g.constant(random({4}, 2)));
  x = mul(g, x, g.constant(random({4}, 3)));
  x = mul(g, x, g.constant(random({1, 1, 1, 4}, 4)));
  x = relu(g, add(g, x, g.constant(random({4}, 5))));
  x = depthwise_conv2d(g, x, g.constant(random({3, 3, 4}, 6)), {});
  x = mul(g, x, g.constant(random({4}, 7)));
  g.output("y", reshape(g, x, {1, 36}));
  return g;
}

TEST(FoldScales, PutsScalesIntoWeightsAndBiases) {
  const Graph g = scaled_network();
  const auto after = fold_scales(g);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(count(*after, OpKind::kMul), 0u);
  EXPECT_EQ(count(*after, OpKind::kAdd), 2u);
  expect_same(g, *after);
}

TEST(FoldScales, LeavesAValueWithAnotherReaderAlone) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {2, 3}});
  const ValueId y = matmul(g, x, g.constant(random({3, 4}, 1)));
  g.output("scaled", mul(g, y, g.constant(random({4}, 2))));
  g.output("plain", y);
  const auto after = fold_scales(g);
  ASSERT_TRUE(after);
  EXPECT_EQ(count(*after, OpKind::kMul), 1u);
  expect_same(g, *after);
}

// Runs a graph of one example on each row of `rows` and gives what the batched graph should.
std::vector<float> one_by_one(const Graph& graph, const Tensor& rows) {
  auto session = Session::create(graph);
  EXPECT_TRUE(session);
  const auto in = session->input(graph.value(graph.inputs()[0]).name)->span<float>();
  std::vector<float> all;
  for (std::size_t first = 0; first < rows.data<float>().size(); first += in.size()) {
    const auto row = rows.data<float>().subspan(first, in.size());
    std::copy(row.begin(), row.end(), in.begin());
    session->run();
    const auto out = session->output(graph.outputs()[0].name)->span<float>();
    all.insert(all.end(), out.begin(), out.end());
  }
  return all;
}

void expect_batches(const Graph& graph, std::int64_t batch) {
  const auto batched = with_batch(graph, batch);
  ASSERT_TRUE(batched) << batched.error().message;
  const Tensor rows =
      random(graph.shape(graph.inputs()[0]).with(0, batch * graph.shape(graph.inputs()[0])[0]), 9);
  const std::vector<float> expected = one_by_one(graph, rows), got = one_by_one(*batched, rows);
  ASSERT_EQ(expected.size(), got.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5) << i;
}

TEST(WithBatch, ComputesEachExampleAsIfItWereAlone) { expect_batches(scaled_network(), 5); }

// Two heads of attention over four places: batched products, reshapes that split axes, softmax.
TEST(WithBatch, KeepsTheExamplesOfAttentionApart) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {1, 4, 6}});
  const ValueId rows = reshape(g, x, {4, 6});
  const auto heads = [&](std::uint64_t seed) {
    const ValueId projected = matmul(g, rows, g.constant(random({6, 6}, seed)));
    return transpose(g, reshape(g, projected, {1, 4, 2, 3}), {0, 2, 1, 3});
  };
  const ValueId scores = matmul(g, heads(1), heads(2), false, true);
  const ValueId mask = g.constant(random({1, 1, 4, 4}, 4));
  const ValueId mixed = matmul(g, softmax(g, add(g, scores, mask)), heads(3));
  g.output("y", reshape(g, transpose(g, mixed, {0, 2, 1, 3}), {1, 24}));
  expect_batches(g, 3);
}

TEST(WithBatch, RefusesWhatMixesExamples) {
  const auto refused = [](const std::function<ValueId(Graph&, ValueId)>& op) {
    Graph g;
    g.output("y", op(g, g.input("x", {DType::kF32, {1, 4}})));
    const auto batched = with_batch(g, 3);
    return !batched && batched.error().code != ErrorCode::kIo;
  };
  EXPECT_TRUE(refused([](Graph& g, ValueId x) { return sum(g, x); }));
  EXPECT_TRUE(refused([](Graph& g, ValueId x) { return transpose(g, x, {1, 0}); }));
  EXPECT_TRUE(refused([](Graph& g, ValueId x) { return cumsum(g, x, 0); }));
  EXPECT_TRUE(refused([](Graph& g, ValueId x) { return matmul(g, x, x, true); }));
  EXPECT_TRUE(refused([](Graph& g, ValueId x) { return broadcast_to(g, x, {5, 4}); }));
  EXPECT_TRUE(refused([](Graph& g, ValueId x) {
    const ValueId parts[] = {x, x};
    return concat(g, parts, 0);
  }));
  EXPECT_FALSE(refused([](Graph& g, ValueId x) { return exp(g, x); }));
}

}  // namespace
}  // namespace inkling
