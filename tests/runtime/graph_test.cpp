#include "runtime/graph.h"

#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "runtime/op.h"
#include "runtime/ops.h"

namespace inkling {
namespace {

TEST(Graph, LatchesTheFirstErrorAndNamesOpAndShapes) {
  Graph g;
  const ValueId a = g.input("a", {DType::kF32, {2, 3}});
  const ValueId b = g.input("b", {DType::kF32, {4, 5}});
  const ValueId c = matmul(g, a, b);
  EXPECT_EQ(c, kNoValue);
  EXPECT_EQ(relu(g, c), kNoValue);
  ASSERT_FALSE(g.status());
  EXPECT_EQ(g.status().error().message, "matmul: [2, 3] times [4, 5]: inner sizes differ");
}

TEST(Graph, RefusesDuplicateNames) {
  Graph inputs, variables, outputs;
  inputs.input("x", {});
  inputs.input("x", {});
  EXPECT_FALSE(inputs.status());
  variables.variable("w", Tensor::scalar(1.0f));
  variables.variable("w", Tensor::scalar(1.0f));
  EXPECT_FALSE(variables.status());
  const ValueId x = outputs.input("x", {});
  outputs.output("y", x);
  outputs.output("y", x);
  EXPECT_FALSE(outputs.status());
}

TEST(Graph, RefusesAnUpdateOfAnotherShapeASecondOneAndOneThatIsNoResult) {
  Graph shape, twice, constant;
  const ValueId w = shape.variable("w", Tensor::zeros({DType::kF32, {2}}));
  shape.update(w, sum(shape, w));
  EXPECT_FALSE(shape.status());
  const ValueId v = twice.variable("w", Tensor::zeros({DType::kF32, {2}}));
  twice.update(v, neg(twice, v));
  EXPECT_TRUE(twice.status());
  twice.update(v, neg(twice, v));
  EXPECT_FALSE(twice.status());
  const ValueId u = constant.variable("w", Tensor::zeros({DType::kF32, {2}}));
  constant.update(u, constant.constant(Tensor::zeros({DType::kF32, {2}})));
  EXPECT_FALSE(constant.status());
}

TEST(Graph, RefusesIntegersWhereAnOpIsOnFloats) {
  Graph g;
  relu(g, g.input("x", {DType::kI64, {2}}));
  ASSERT_FALSE(g.status());
  EXPECT_NE(g.status().error().message.find("i64[2]"), std::string::npos);
}

TEST(Graph, CopiesShareTheBytesOfConstants) {
  Graph g;
  const ValueId c = g.constant(Tensor::zeros({DType::kF32, {100}}));
  const Graph copy = g;
  EXPECT_EQ(copy.value(c).tensor.get(), g.value(c).tensor.get());
}

TEST(Ops, EveryOpHasANameAShapeRuleAndAMeaning) {
  for (std::size_t i = 0; i < op_count(); ++i) {
    const OpDef& def = op_def(static_cast<OpKind>(i));
    EXPECT_NE(def.name, nullptr);
    EXPECT_NE(def.infer, nullptr) << def.name;
    EXPECT_NE(def.reference, nullptr) << def.name;
  }
}

// Whatever garbage a model file holds, a shape rule refuses or accepts; it never crashes.
TEST(Ops, ShapeRulesSurviveAnyInputs) {
  Rng rng(1, "garbage");
  const std::vector<Shape> shapes = {{},     {0},          {1},          {3},       {2, 3},
                                     {3, 2}, {1, 4, 4, 2}, {3, 3, 2, 2}, {3, 3, 2}, {2, 0, 1, 5}};
  std::size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<TensorSpec> in;
    for (std::uint64_t i = rng.below(5); i-- > 0;) {
      in.push_back({rng.below(8) ? DType::kF32 : DType::kI64, shapes[rng.below(shapes.size())]});
    }
    Attrs attrs;
    for (int a = 0; a < 6; ++a) {
      std::vector<std::int64_t> list;
      for (std::uint64_t i = rng.below(6); i-- > 0;)
        list.push_back(static_cast<std::int64_t>(rng.below(7)) - 2);
      attrs.set(static_cast<Attr>(rng.below(22)), list);
      attrs.set(static_cast<Attr>(rng.below(22)), static_cast<std::int64_t>(rng.below(9)) - 3);
    }
    accepted += op_def(static_cast<OpKind>(rng.below(op_count()))).infer(in, attrs).has_value();
  }
  EXPECT_GT(accepted, 100u);
}

}  // namespace
}  // namespace inkling
