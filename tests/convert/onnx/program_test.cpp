#include "convert/onnx/program.h"

#include <gtest/gtest.h>

#include "tests/convert/onnx/model_builder.h"

namespace inkling {
namespace {

using onnx_import::Program;

std::vector<float> numbers(const NamedTensor& tensor) {
  const auto data = tensor.tensor.data<float>();
  return {data.begin(), data.end()};
}

Tensor counting(Shape shape) {
  Tensor tensor = Tensor::zeros({DType::kF32, shape});
  float next = 0;
  for (float& v : tensor.mutable_data<float>()) v = next++;
  return tensor;
}

std::vector<NamedTensor> feeds(Shape x) {
  std::vector<NamedTensor> list;
  list.push_back({"x", counting(x)});
  return list;
}

void add(std::vector<NamedTensor>& list, const char* name, std::initializer_list<std::int64_t> v) {
  list.push_back({name, Tensor::from<std::int64_t>({static_cast<std::int64_t>(v.size())}, v)});
}

TEST(Program, PlansOnceForEachShape) {
  ModelBuilder model({-1, -1});
  model.node("Relu", {"x"});
  auto program = Program::open(model.bytes());
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_EQ(program->inputs(), std::vector<std::string>{"x"});
  for (const Shape& shape : {Shape{1, 2}, Shape{3, 1}, Shape{1, 2}}) {
    const auto outputs = program->run(feeds(shape));
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ((*outputs)[0].tensor.shape(), shape);
  }
  EXPECT_EQ(program->plans(), 2u);
  for (std::int64_t i = 1; i < 40; ++i) ASSERT_TRUE(program->run(feeds({i, 1})));
  EXPECT_EQ(program->plans(), onnx_import::kPlansMax);
}

TEST(Program, PlansForTheValuesThatDecideAShape) {
  ModelBuilder model({2, 6});
  model.input("to", onnx::TensorProto::INT64, {2});
  model.node("Reshape", {"x", "to"});
  auto program = Program::open(model.bytes());
  ASSERT_TRUE(program);
  for (const auto& to : {std::array<std::int64_t, 2>{3, 4}, {4, 3}, {-1, 4}, {3, 4}}) {
    auto inputs = feeds({2, 6});
    add(inputs, "to", {to[0], to[1]});
    const auto outputs = program->run(inputs);
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ((*outputs)[0].tensor.shape()[1], to[1]);
  }
  EXPECT_EQ(program->plans(), 3u);
}

void add_branch(onnx::NodeProto& node, const char* name, const char* op, const char* input) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  auto* body = attribute->mutable_g()->add_node();
  body->set_op_type(op);
  body->add_input(input);
  body->add_output("z");
  attribute->mutable_g()->add_output()->set_name("z");
}

TEST(Program, TakesTheBranchThatAnInputChooses) {
  ModelBuilder model({2});
  model.input("negate", onnx::TensorProto::BOOL, {});
  auto& branch = model.node("If", {"negate"});
  add_branch(branch, "then_branch", "Neg", "x");
  add_branch(branch, "else_branch", "Identity", "x");
  auto program = Program::open(model.bytes());
  ASSERT_TRUE(program);
  for (const bool negate : {true, false, true}) {
    auto inputs = feeds({2});
    inputs.push_back({"negate", Tensor::scalar(negate)});
    const auto outputs = program->run(inputs);
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ(numbers((*outputs)[0])[1], negate ? -1.0f : 1.0f);
  }
  EXPECT_EQ(program->plans(), 2u);
}

// y = -x if x > 0 else `otherwise`
ModelBuilder on_the_sign(const char* otherwise) {
  ModelBuilder model({1});
  model.floats("zero", {1}, {0}).floats("pair", {2}, {5, 6});
  model.node("Greater", {"x", "zero"}, "positive");
  auto& branch = model.node("If", {"positive"});
  add_branch(branch, "then_branch", "Neg", "x");
  add_branch(branch, "else_branch", "Identity", otherwise);
  return model;
}

std::vector<float> answer_to(Program& program, float x) {
  std::vector<NamedTensor> inputs;
  inputs.push_back({"x", Tensor::from<float>({1}, {x})});
  const auto outputs = program.run(inputs);
  EXPECT_TRUE(outputs) << outputs.error().message;
  return outputs ? numbers((*outputs)[0]) : std::vector<float>{};
}

TEST(Program, ComputesBothBranchesWhenNumbersChoose) {
  auto program = Program::open(on_the_sign("x").bytes());
  ASSERT_TRUE(program);
  for (const float x : {3.0f, -2.0f, 0.5f})
    EXPECT_EQ(answer_to(*program, x), std::vector<float>{x > 0 ? -x : x});
  EXPECT_EQ(program->plans(), 1u);
  EXPECT_TRUE(on_the_sign("x").import());  // no value need be given
}

TEST(Program, PlansForTheNumbersThatChooseAmongShapes) {
  auto program = Program::open(on_the_sign("pair").bytes());
  ASSERT_TRUE(program);
  EXPECT_EQ(answer_to(*program, 3), std::vector<float>{-3});
  EXPECT_EQ(answer_to(*program, -3), (std::vector<float>{5, 6}));
  EXPECT_EQ(program->plans(), 2u);
  EXPECT_FALSE(on_the_sign("pair").import());
}

// x doubles in each trip, and each trip's value is collected.
ModelBuilder doubling() {
  ModelBuilder model({1});
  model.input("trips", onnx::TensorProto::INT64, {});
  auto& loop = model.node("Loop", {"trips", "", "x"}, "last");
  loop.add_output("y");
  auto* attribute = loop.add_attribute();
  attribute->set_name("body");
  auto* body = attribute->mutable_g();
  for (const char* name : {"i", "go_in", "v"}) body->add_input()->set_name(name);
  const auto add_node = [&](const char* op, std::vector<const char*> inputs, const char* output) {
    auto* node = body->add_node();
    node->set_op_type(op);
    for (const char* input : inputs) node->add_input(input);
    node->add_output(output);
  };
  add_node("Identity", {"go_in"}, "go");
  add_node("Add", {"v", "v"}, "twice");
  add_node("Identity", {"twice"}, "collected");
  for (const char* name : {"go", "twice", "collected"}) body->add_output()->set_name(name);
  return model;
}

TEST(Program, UnrollsLoopsAsOftenAsAnInputSays) {
  auto program = Program::open(doubling().bytes());
  ASSERT_TRUE(program);
  for (const std::int64_t trips : {1, 3}) {
    std::vector<NamedTensor> inputs;
    inputs.push_back({"x", Tensor::from<float>({1}, {1.0f})});
    inputs.push_back({"trips", Tensor::scalar(trips)});
    const auto outputs = program->run(inputs);
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ((*outputs)[0].tensor.shape(), (Shape{trips, 1}));
    EXPECT_EQ(numbers((*outputs)[0]).back(), trips == 1 ? 2.0f : 8.0f);
  }
}

TEST(Program, RefusesALoopThatWouldNotEnd) {
  auto program = Program::open(doubling().bytes());
  ASSERT_TRUE(program);
  std::vector<NamedTensor> inputs;
  inputs.push_back({"x", Tensor::from<float>({1}, {1.0f})});
  inputs.push_back({"trips", Tensor::scalar(INT64_MAX)});
  const auto outputs = program->run(inputs);
  ASSERT_FALSE(outputs);
  EXPECT_TRUE(outputs.error().code == ErrorCode::kResourceLimit ||
              outputs.error().code == ErrorCode::kCorrupt)
      << outputs.error().message;
}

TEST(Program, NamesAnInputThatIsMissingOrWrong) {
  ModelBuilder model({2, 2});
  model.node("Relu", {"x"});
  auto program = Program::open(model.bytes());
  ASSERT_TRUE(program);
  EXPECT_EQ(program->run({}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(program->run(feeds({3, 2})).error().code, ErrorCode::kInvalidArgument);
  std::vector<NamedTensor> doubles;
  doubles.push_back({"x", Tensor::zeros({DType::kF64, {2, 2}})});
  EXPECT_EQ(program->run(doubles).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling
