#include "runtime/kernel_search.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/ops.h"
#include "tests/runtime/support.h"

namespace inkling {
namespace {

// A picture of one channel: the convolution has a row for planes beside the GEMM's.
Graph small_network() {
  Graph g;
  Rng rng(3, "weights");
  const ValueId x = g.input("x", {DType::kF32, {2, 28, 28, 1}});
  const ValueId w = g.constant(test::random_tensor({DType::kF32, {5, 5, 1, 6}}, rng));
  g.output("y", relu(g, conv2d(g, x, w, {.strides = {1, 1}, .pads = {2, 2, 2, 2}})));
  return g;
}

std::vector<std::string> kernels_of(const Graph& graph, const KernelChoice& choice) {
  std::vector<std::string> kernels;
  test::run(graph, {.kernels = &choice}, 1, &kernels);
  return kernels;
}

// The one node of the network with several rows, as the search finds it.
KernelSearch search(const Graph& graph) {
  const auto found = search_kernels(graph, {.seconds_max = 0.02});
  EXPECT_TRUE(found) << found.error().message;
  return *found;
}

TEST(KernelChoice, IsHonouredForTheNodeThatItNames) {
  const Graph g = small_network();
  const KernelSearch found = search(g);
  ASSERT_EQ(found.nodes.size(), 1u);
  ASSERT_GE(found.nodes[0].rows.size(), 2u);
  for (const auto& row : found.nodes[0].rows) {
    KernelChoice choice;
    choice.set(found.nodes[0].key, row.name);
    const auto kernels = kernels_of(g, choice);
    EXPECT_EQ(std::count(kernels.begin(), kernels.end(), row.name), 1) << row.name;
  }
}

TEST(KernelChoice, GivesTheSameBitsEachTimeAndTheSameNumbersAsAnyOther) {
  const Graph g = small_network();
  const KernelSearch found = search(g);
  const auto expected = test::run(g, {.reference_only = true}, 1);
  for (const auto& row : found.nodes[0].rows) {
    KernelChoice choice;
    choice.set(found.nodes[0].key, row.name);
    const auto once = test::run(g, {.kernels = &choice}, 1);
    EXPECT_EQ(once, test::run(g, {.kernels = &choice}, 1)) << row.name;
    EXPECT_LT(test::difference(once, expected), 3e-6) << row.name;  // as in kernels_test.cpp
  }
}

TEST(KernelChoice, OfARowThatIsGoneOrDoesNotFitIsPassedOver) {
  const Graph g = small_network();
  const KernelSearch found = search(g);
  const auto usual = kernels_of(g, {});
  for (const char* row : {"conv2d_of_tomorrow", "matmul_gemm", ""}) {
    KernelChoice choice;
    choice.set(found.nodes[0].key, row);
    EXPECT_EQ(kernels_of(g, choice), usual) << row;
  }
}

TEST(KernelChoice, OfARowThatRefusesTheNodeIsPassedOver) {
  constexpr auto refuses = [](const NodeSpec&) { return false; };
  const Kernel table[] = {{.op = OpKind::kNeg,
                           .name = "neg_picky",
                           .accepts = refuses,
                           .cost = nullptr,
                           .run = nullptr}};
  const Attrs attrs;
  const TensorSpec spec{DType::kF32, {3}};
  const NodeSpec node{OpKind::kNeg, {&spec, 1}, {&spec, 1}, attrs, false, 1};
  KernelChoice choice;
  choice.set(node_key(node), "neg_picky");
  EXPECT_EQ(choice.find(table, node), nullptr);
}

TEST(NodeKey, TellsApartWhateverARowMayDependOn) {
  const TensorSpec a{DType::kF32, {3, 4}}, b{DType::kF32, {4, 3}}, c{DType::kF64, {3, 4}};
  const Attrs none, some{{Attr::kAxis, std::int64_t{1}}};
  const NodeSpec node{OpKind::kNeg, {&a, 1}, {&a, 1}, none, false, 1};
  std::set<std::string> keys{node_key(node)};
  keys.insert(node_key({OpKind::kExp, {&a, 1}, {&a, 1}, none, false, 1}));
  keys.insert(node_key({OpKind::kNeg, {&b, 1}, {&a, 1}, none, false, 1}));
  keys.insert(node_key({OpKind::kNeg, {&c, 1}, {&a, 1}, none, false, 1}));
  keys.insert(node_key({OpKind::kNeg, {&a, 1}, {&b, 1}, none, false, 1}));
  keys.insert(node_key({OpKind::kNeg, {&a, 1}, {&a, 1}, some, false, 1}));
  keys.insert(node_key({OpKind::kNeg, {&a, 1}, {&a, 1}, none, true, 1}));
  keys.insert(node_key({OpKind::kNeg, {&a, 1}, {&a, 1}, none, false, 2}));
  EXPECT_EQ(keys.size(), 8u);
}

TEST(KernelSearch, ChoosesNoRowThatItMeasuredAsSlowerThanTheDefault) {
  const KernelSearch found = search(small_network());
  EXPECT_EQ(found.nodes[0].steps, 1u);
  for (const auto& row : found.nodes[0].rows) EXPECT_GT(row.seconds, 0) << row.name;
  EXPECT_LE(found.nodes[0].rows[found.nodes[0].chosen].seconds, found.nodes[0].rows[0].seconds);
  EXPECT_LE(found.chosen_seconds, found.default_seconds);
  EXPECT_EQ(found.choice.rows().size(), found.nodes[0].chosen == 0 ? 0u : 1u);
}

TEST(KernelSearch, LeavesAGraphWithoutAlternativesAlone) {
  Graph g;
  g.output("y", neg(g, g.input("x", {DType::kF32, {8}})));
  const auto found = search_kernels(g, {.seconds_max = 0.01});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_TRUE(found->nodes.empty());
  EXPECT_TRUE(found->choice.rows().empty());
}

TEST(RobustEstimate, PassesOverWhatWasDisturbed) {
  EXPECT_DOUBLE_EQ(robust_estimate({10, 11, 9, 10, 500}), 10);
  EXPECT_DOUBLE_EQ(robust_estimate({10, 11, 9, 10, 0.001}), 10);
  EXPECT_DOUBLE_EQ(robust_estimate({7}), 7);
  EXPECT_DOUBLE_EQ(robust_estimate({5, 5, 5, 90}), 5);
}

TEST(CpuName, IsOneLineThatNamesTheInstructionSet) {
  const std::string name = cpu_name();
  EXPECT_NE(name.find(", "), std::string::npos) << name;
  EXPECT_EQ(name.find('\n'), std::string::npos) << name;
}

}  // namespace
}  // namespace inkling
