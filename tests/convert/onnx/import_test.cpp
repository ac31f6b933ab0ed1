#include "convert/onnx/import.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "tests/convert/onnx/model_builder.h"
#include "tests/runtime/support.h"

namespace inkling {
namespace {

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

// Two steps of a state of one: z = sigmoid(0) = 1/2 with these weights, so that h' = (h + tanh(x +
// h)) / 2, where `late` is added to h inside the reset gate, which is 1/2 too.
TEST(OnnxImport, MakesOneNodeOfAGruThatIsTheVocabularys) {
  for (const float late : {0.0f, 0.25f}) {
    ModelBuilder model({2, 1, 1});
    model.floats("w", {1, 3, 1}, {0, 0, 1}).floats("r", {1, 3, 1}, {0, 0, 2});
    model.floats("b", {1, 6}, {0, 0, 0, 0, 0, late});
    auto& node = model.node("GRU", {"x", "w", "r", "b"});
    ModelBuilder::set(node, "hidden_size", {1});
    ModelBuilder::set(node, "linear_before_reset", {1});
    const auto imported = model.import();
    const auto got = run_counting(imported);
    const float first = std::tanh(late / 2) / 2;
    const float second = (first + std::tanh(1 + (2 * first + late) / 2)) / 2;
    ASSERT_EQ(got.size(), 2u);
    EXPECT_NEAR(got[0], first, 1e-6f);  // of f32
    EXPECT_NEAR(got[1], second, 1e-6f);
    const auto nodes = imported->graph.nodes();
    EXPECT_EQ(std::count_if(nodes.begin(), nodes.end(),
                            [](const Node& each) { return each.op == OpKind::kGru; }),
              late == 0 ? 1 : 0);
  }
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

// Sizes that multiply to more than any tensor has are refused, wherever they meet.
TEST(OnnxImport, RefusesShapesThatNoTensorCanBe) {
  const std::int64_t large = std::int64_t{1} << 25;
  ModelBuilder joined({large}, 13), flat({0, large, large}, 13), product({large, 1}, 13);
  joined.input("z", onnx::TensorProto::FLOAT, {large});
  auto* equation = joined.node("Einsum", {"x", "z"}).add_attribute();
  equation->set_name("equation");
  equation->set_s("i,j->ij");
  EXPECT_FALSE(joined.import());
  flat.node("Flatten", {"x"});
  EXPECT_FALSE(flat.import());
  product.input("z", onnx::TensorProto::FLOAT, {1, large});
  product.node("MatMul", {"x", "z"});
  EXPECT_FALSE(product.import());
}

// The same for every model of the ONNX backend tests, where they are installed.
TEST(OnnxImport, SurvivesDamagedModelsOfEveryOp) {
  const Path data = "/usr/share/libonnx-testdata/data";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "libonnx-testdata is not installed";
  std::size_t models = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
    if (entry.path().filename() != "model.onnx") continue;
    const auto good = read_file(entry.path());
    ASSERT_TRUE(good);
    if (good->size() > 100000) continue;
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      Rng rng(seed + 100 * ++models, "damage");
      Bytes bad = *good;
      for (std::uint64_t i = 1 + rng.below(4); i-- > 0;)
        bad[rng.below(bad.size())] = static_cast<std::uint8_t>(rng.next_u32());
      (void)onnx_import::import_model(bad);
    }
  }
  EXPECT_GT(models, 8000u);
}

}  // namespace
}  // namespace inkling
