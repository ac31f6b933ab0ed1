#include "autograd/differentiate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/ops.h"

namespace inkling {
namespace {

Tensor filled(Shape shape, float value) {
  Tensor tensor = Tensor::zeros({DType::kF32, shape});
  for (float& v : tensor.mutable_data<float>()) v = value;
  return tensor;
}

std::size_t count(const Graph& g, OpKind op) {
  return static_cast<std::size_t>(
      std::count_if(g.nodes().begin(), g.nodes().end(), [&](const Node& n) { return n.op == op; }));
}

// Two layers, the first frozen: its weights and its input get no gradient, so one backward matmul
// is enough.
TEST(Differentiate, FreezingIsLeavingOut) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {4, 8}});
  const ValueId frozen = g.variable("frozen", filled({8, 8}, 0.1f));
  const ValueId head = g.variable("head", filled({8, 2}, 0.1f));
  const ValueId loss = sum(g, matmul(g, relu(g, matmul(g, x, frozen)), head));
  const std::size_t forward = count(g, OpKind::kMatmul);
  ASSERT_TRUE(differentiate(g, loss, std::vector<ValueId>{head}));
  EXPECT_EQ(count(g, OpKind::kMatmul), forward + 1);
  EXPECT_EQ(count(g, OpKind::kClampGradient), 0u);
}

TEST(Differentiate, AValueTheLossDoesNotSeeHasAZeroGradient) {
  Graph g;
  const ValueId a = g.variable("a", filled({2}, 1));
  const ValueId b = g.variable("b", filled({3}, 1));
  const auto gradients = differentiate(g, sum(g, a), std::vector<ValueId>{a, b});
  ASSERT_TRUE(gradients);
  const Value& zero = g.value((*gradients)[1]);
  ASSERT_EQ(zero.kind, ValueKind::kConstant);
  EXPECT_EQ(zero.spec.shape, (Shape{3}));
  EXPECT_EQ(zero.tensor->data<float>()[0], 0.0f);
}

TEST(Differentiate, RefusesALossThatIsNotOneNumber) {
  Graph g;
  const ValueId a = g.variable("a", filled({2}, 1));
  const auto gradients = differentiate(g, a, std::vector<ValueId>{a});
  ASSERT_FALSE(gradients);
  EXPECT_EQ(gradients.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(gradients.error().message.find("f32[2]"), std::string::npos);
}

TEST(Differentiate, NamesTheOpWithoutADerivative) {
  Graph g;
  const ValueId w = g.variable("w", filled({2}, 1));
  const ValueId rate = g.constant(Tensor::scalar(0.1f));
  const ValueId next = sgd_step(g, w, w, w, rate, 0, 0).weights;
  const auto gradients = differentiate(g, sum(g, next), std::vector<ValueId>{w});
  ASSERT_FALSE(gradients);
  EXPECT_EQ(gradients.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(gradients.error().message.find("sgd_step"), std::string::npos);
}

}  // namespace
}  // namespace inkling
