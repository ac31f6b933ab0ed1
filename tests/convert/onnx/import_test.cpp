#include "convert/onnx/import.h"

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include "tests/runtime/support.h"

namespace inkling {
namespace {

// A model of one node "n" over the float input x, with further inputs as initializers.
class ModelBuilder {
 public:
  explicit ModelBuilder(std::vector<std::int64_t> x = {1, 2, 4, 4}, std::int64_t opset = 13) {
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(opset);
    auto* input = model_.mutable_graph()->add_input();
    input->set_name("x");
    auto* type = input->mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t size : x) {
      auto* dim = type->mutable_shape()->add_dim();
      if (size < 0)
        dim->set_dim_param("?");
      else
        dim->set_dim_value(size);
    }
    model_.mutable_graph()->add_output()->set_name("y");
  }

  ModelBuilder& floats(const char* name, std::vector<std::int64_t> dims,
                       std::vector<float> values) {
    auto* tensor = initializer(name, dims, onnx::TensorProto::FLOAT);
    tensor->mutable_float_data()->Assign(values.begin(), values.end());
    return *this;
  }
  ModelBuilder& integers(const char* name, std::vector<std::int64_t> values) {
    auto* tensor =
        initializer(name, {static_cast<std::int64_t>(values.size())}, onnx::TensorProto::INT64);
    tensor->mutable_int64_data()->Assign(values.begin(), values.end());
    return *this;
  }
  onnx::NodeProto& node(const char* op, std::vector<std::string> inputs, const char* output = "y") {
    auto* node = model_.mutable_graph()->add_node();
    node->set_op_type(op);
    node->set_name(concat("n_", op));
    for (const std::string& name : inputs) node->add_input(name);
    node->add_output(output);
    return *node;
  }
  static void set(onnx::NodeProto& node, const char* name, std::vector<std::int64_t> values) {
    auto* attribute = node.add_attribute();
    attribute->set_name(name);
    if (values.size() == 1) attribute->set_i(values[0]);
    attribute->mutable_ints()->Assign(values.begin(), values.end());
  }
  onnx::ModelProto& proto() { return model_; }
  Bytes bytes() const {
    const std::string text = model_.SerializeAsString();
    return {text.begin(), text.end()};
  }
  Result<Model> import(const onnx_import::Options& options = {}) const {
    return onnx_import::import_model(bytes(), options);
  }

 private:
  onnx::TensorProto* initializer(const char* name, const std::vector<std::int64_t>& dims,
                                 int type) {
    auto* tensor = model_.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    tensor->mutable_dims()->Assign(dims.begin(), dims.end());
    return tensor;
  }
  onnx::ModelProto model_;
};

// Runs on x = 0, 1, 2, ...
std::vector<float> run_counting(const Result<Model>& model) {
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  auto session = Session::create(model->graph);
  EXPECT_TRUE(session) << session.error().message;
  float next = 0;
  for (float& v : session->input("x")->span<float>()) v = next++;
  session->run();
  const auto y = session->output("y")->span<float>();
  return {y.begin(), y.end()};
}

TEST(OnnxImport, ConvolvesImagesThatAreChannelsFirst) {
  ModelBuilder model({1, 2, 2, 2});
  model.floats("w", {1, 2, 1, 1}, {1, 10}).floats("b", {1}, {0.5f});
  model.node("Conv", {"x", "w", "b"});
  EXPECT_EQ(run_counting(model.import()), (std::vector<float>{40.5f, 51.5f, 62.5f, 73.5f}));
}

TEST(OnnxImport, ConvolvesInGroups) {
  ModelBuilder model({1, 4, 1, 1});
  model.floats("w", {4, 2, 1, 1}, {1, 10, 2, 20, 3, 30, 4, 40});
  ModelBuilder::set(model.node("Conv", {"x", "w"}), "group", {2});
  EXPECT_EQ(run_counting(model.import()), (std::vector<float>{10, 20, 96, 128}));
}

TEST(OnnxImport, PadsAutomaticallyLikeTheDefinition) {
  // SAME_UPPER of a 2 x 2 kernel puts its one row and column of padding behind.
  ModelBuilder model({1, 1, 2, 2});
  auto& node = model.node("MaxPool", {"x"});
  ModelBuilder::set(node, "kernel_shape", {2, 2});
  auto* attribute = node.add_attribute();
  attribute->set_name("auto_pad");
  attribute->set_s("SAME_UPPER");
  EXPECT_EQ(run_counting(model.import()), (std::vector<float>{3, 3, 3, 3}));
}

TEST(OnnxImport, FollowsShapesThroughAReshapeOfComputedSizes) {
  ModelBuilder model({2, 3, 4});
  model.integers("zero", {0}).integers("one", {1}).integers("rest", {-1});
  model.node("Shape", {"x"}, "s");
  model.node("Slice", {"s", "zero", "one"}, "batch");
  auto& joined = model.node("Concat", {"batch", "rest"}, "to");
  ModelBuilder::set(joined, "axis", {0});
  model.node("Reshape", {"x", "to"});
  const auto imported = model.import();
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->graph.shape(imported->graph.find_output("y")), (Shape{2, 12}));
}

TEST(OnnxImport, SoftmaxBeforeOpset13TakesAllAxesBehind) {
  ModelBuilder old({1, 2, 2}, 11), now({1, 2, 2}, 13);
  old.node("Softmax", {"x"});
  now.node("Softmax", {"x"});
  EXPECT_NEAR(run_counting(old.import())[3], 0.6439f, 1e-4);  // e^3 / (e^0 + e^1 + e^2 + e^3)
  EXPECT_NEAR(run_counting(now.import())[3], 0.7311f, 1e-4);  // e^3 / (e^2 + e^3)
}

TEST(OnnxImport, TakesConcreteShapesForSymbolicSizes) {
  ModelBuilder model({-1, 3, -1});
  model.node("Relu", {"x"});
  const auto missing = model.import();
  ASSERT_FALSE(missing);
  EXPECT_EQ(
      missing.error().message,
      "onnx: input 'x': the size of axis 2 is not fixed by the model: give the input's shape");
  const auto imported = model.import({.input_shapes = {{"x", {2, 3, 5}}}});
  ASSERT_TRUE(imported);
  EXPECT_EQ(imported->graph.shape(imported->graph.find_output("y")), (Shape{2, 3, 5}));
  EXPECT_EQ(model.import({.input_shapes = {{"x", {2, 4, 5}}}}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(model.import({.input_shapes = {{"z", {2}}}}).error().code, ErrorCode::kInvalidArgument);
}

TEST(OnnxImport, NamesTheNodeAndTheOpItCannotRun) {
  ModelBuilder model;
  model.node("StringNormalizer", {"x"});
  const auto imported = model.import();
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(
      imported.error().message,
      "onnx: node 'n_StringNormalizer' (StringNormalizer): op StringNormalizer is not supported");
}

TEST(OnnxImport, RefusesWhatContradictsItself) {
  EXPECT_EQ(onnx_import::import_model(Bytes{1, 2, 3}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(onnx_import::import_model({}).error().code, ErrorCode::kCorrupt);
  ModelBuilder undefined, short_tensor, channels, opset({1}, 99), external;
  undefined.node("Relu", {"nowhere"});
  EXPECT_EQ(undefined.import().error().code, ErrorCode::kCorrupt);
  short_tensor.floats("w", {1000000}, {1});
  EXPECT_EQ(short_tensor.import().error().code, ErrorCode::kCorrupt);
  channels.floats("w", {1, 3, 1, 1}, {1, 1, 1});
  channels.node("Conv", {"x", "w"});
  EXPECT_EQ(channels.import().error().code, ErrorCode::kCorrupt);
  opset.node("Relu", {"x"});
  EXPECT_EQ(opset.import().error().code, ErrorCode::kUnsupported);
  external.floats("w", {1}, {1});
  external.proto().mutable_graph()->mutable_initializer(0)->set_data_location(
      onnx::TensorProto::EXTERNAL);
  EXPECT_EQ(external.import().error().code, ErrorCode::kUnsupported);
}

// Random damage to a good model: refused or imported, never a crash.
TEST(OnnxImport, SurvivesDamagedModels) {
  ModelBuilder model({1, 2, 6, 6});
  model.floats("w", {3, 2, 3, 3}, std::vector<float>(54, 0.1f)).integers("to", {1, -1});
  ModelBuilder::set(model.node("Conv", {"x", "w"}, "c"), "strides", {2, 2});
  ModelBuilder::set(model.node("AveragePool", {"c"}, "p"), "kernel_shape", {2, 2});
  model.node("Reshape", {"p", "to"});
  const Bytes good = model.bytes();
  ASSERT_TRUE(onnx_import::import_model(good));
  std::size_t refused = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    Rng rng(seed, "damage");
    Bytes bad = good;
    for (std::uint64_t i = 1 + rng.below(4); i-- > 0;)
      bad[rng.below(bad.size())] = static_cast<std::uint8_t>(rng.next_u32());
    if (rng.below(4) == 0) bad.resize(rng.below(bad.size()));
    refused += !onnx_import::import_model(bad);
  }
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace inkling
