#include "convert/tflite/import.h"

#include <gtest/gtest.h>

#include <cstring>

#include "runtime/session.h"
#include "tests/convert/tflite/model_builder.h"

namespace inkling::tflite_import {
namespace {

std::vector<float> run(const Bytes& bytes, const std::string& output, std::vector<float> x = {}) {
  const auto model = import_model(bytes);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  auto session = Session::create(model->graph);
  EXPECT_TRUE(session) << session.error().message;
  if (!x.empty()) {
    const auto in = session->input("t0")->span<float>();
    EXPECT_EQ(in.size(), x.size());
    std::copy(x.begin(), x.end(), in.begin());
  }
  session->run();
  const auto out = session->output(output)->span<float>();
  return {out.begin(), out.end()};
}

TEST(Tflite, ReadsWeightsWithAScale) {
  // weights (q - 2) / 2: [4 9; -6 -1; 1 -3]
  EXPECT_EQ(run(dense_model(false), "t3", {1, 2}), (std::vector<float>{23, 0, 0}));
}

TEST(Tflite, ReadsFilesThatHaveTheirOpInTheOldFieldOnly) {
  EXPECT_EQ(run(dense_model(true), "t3", {1, 0}), (std::vector<float>{5, 0, 4}));
}

TEST(Tflite, ReadsAScaleForEachChannel) {
  const Bytes bytes = channels_model();
  EXPECT_EQ(run(bytes, "t2", {10, 10}), (std::vector<float>{30, 5}));
}

TEST(Tflite, ReadsHalfFloatsThroughDequantize) {
  const Bytes bytes = halves_model();
  EXPECT_EQ(run(bytes, "t3", {3, 4}), (std::vector<float>{3, -8}));
}

TEST(Tflite, ReadsSparseConstants) {
  const Bytes bytes = sparse_model();
  EXPECT_EQ(run(bytes, "t3", std::vector<float>(12, 0.0f)),
            (std::vector<float>{0, 5, 0, 6, 0, 0, 0, 0, 7, 0, 0, 0}));
}

TEST(Tflite, ReadsSparseBlocks) {
  const Bytes bytes = blocks_model();
  EXPECT_EQ(run(bytes, "t2", std::vector<float>(8, 0.0f)),
            (std::vector<float>{0, 0, 0, 0, 8, 0, 9, 0}));
}

// Two thousand million empty rows in a tensor of twelve numbers.
TEST(Tflite, RefusesASparseTreeThatIsLargerThanItsTensor) {
  const auto sparsity = [](FlatBufferBuilder& b) {
    const std::vector<std::int32_t> order = {0, 1};
    const std::vector<Offset<tflite::DimensionMetadata>> dimensions = {
        tflite::CreateDimensionMetadata(b, 0, 2'000'000'000),
        tflite::CreateDimensionMetadata(b, 0, 0)};
    return tflite::CreateSparsityParametersDirect(b, &order, nullptr, &dimensions);
  };
  const auto model = import_model(
      model_of({{{3, 4}}, {{3, 4}, kFloat, raw<float>({5}), {}, {}, 0, sparsity}, {{3, 4}}},
               {{124, {1}, {2}}}, {0}, {2}));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kCorrupt);
}

// Activations in eight bits: what comes out is a multiple of the scale, within the type.
TEST(Tflite, RoundsActivationsToTheirScale) {
  const Bytes bytes = rounding_model();
  const auto model = import_model(bytes);
  ASSERT_TRUE(model) << model.error().message;
  auto session = Session::create(model->graph);
  ASSERT_TRUE(session) << session.error().message;
  const std::int8_t in[] = {-128, 3, 6, 127};
  std::memcpy(session->input("t0")->data, in, sizeof(in));
  session->run();
  std::int8_t out[4];
  std::memcpy(out, session->output("t2")->data, sizeof(out));
  // -64, 1.5, 3, 63.5 in steps of 1 from -1, halves to even
  EXPECT_EQ(std::vector<int>(out, out + 4), (std::vector<int>{-65, 1, 2, 63}));
}

TEST(Tflite, InterpolatesBetweenPixels) {
  const auto resized = [](bool align, bool half) {
    return run(model_of({{{1, 1, 2, 1}}, {{2}, kInt32, raw<std::int32_t>({1, 4})}, {{1, 1, 4, 1}}},
                        {{23,
                          {0, 1},
                          {2},
                          [=](FlatBufferBuilder& b) {
                            return tflite::CreateResizeBilinearOptions(b, align, half).Union();
                          }}},
                        {0}, {2}),
               "t2", {0, 12});
  };
  EXPECT_EQ(resized(false, false), (std::vector<float>{0, 6, 12, 12}));
  EXPECT_EQ(resized(true, false), (std::vector<float>{0, 4, 8, 12}));
  EXPECT_EQ(resized(false, true), (std::vector<float>{0, 3, 9, 12}));
}

TEST(Tflite, ChoosesBetweenTheResultsOfBranches) {
  const Bytes bytes = branching(unary_graph(59), {{{{1}}}, {}, {0}, {0}});  // NEG, or as it is
  EXPECT_EQ(run(bytes, "t3", {3}), std::vector<float>{-3});
  EXPECT_EQ(run(bytes, "t3", {0.5}), std::vector<float>{0.5});
}

TEST(Tflite, RefusesBranchesThatDoNotFit) {
  const auto refused = [](GraphText then_graph, GraphText else_graph) {
    const auto model = import_model(branching(std::move(then_graph), std::move(else_graph)));
    EXPECT_FALSE(model);
    return model ? ErrorCode::kIo : model.error().code;
  };
  const GraphText longer = {
      {{{1}}, {{2}, kFloat, raw<float>({1, 2})}, {{2}}},
      {{0, {0, 1}, {2}, [](FlatBufferBuilder& b) { return activation(b, 0); }}},
      {0},
      {2}};
  EXPECT_EQ(refused(unary_graph(59), longer), ErrorCode::kUnsupported);
  GraphText two = unary_graph(59);
  two.inputs = {0, 0};
  EXPECT_EQ(refused(two, unary_graph(59)), ErrorCode::kCorrupt);
  // A subgraph that calls itself, and would four times at each level.
  GraphText endless = {{{{1}, kBool}, {{1}, kBool}}, {}, {0}, {1}};
  for (int i = 0; i < 4; ++i) {
    endless.ops.push_back({118, {0, 0}, {1}, [](FlatBufferBuilder& b) {
                             return tflite::CreateIfOptions(b, 0, 0).Union();
                           }});
  }
  const auto model = import_model(model_of({endless}));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kResourceLimit);
}

TEST(Tflite, NamesAnOpThatItDoesNotKnow) {
  const auto model = import_model(model_of({{{2}}, {{2}}}, {{126 + 1, {0}, {1}}}, {0}, {1}));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(model.error().message.find("builtin op 127"), std::string::npos)
      << model.error().message;
}

// Whatever is changed or cut: a model or an error, never more.
TEST(Tflite, SurvivesChangedBytes) {
  const Bytes good = dense_model(false);
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int flip : {0x01, 0x04, 0x80, 0xff}) {
      Bytes bad = good;
      bad[at] = static_cast<std::uint8_t>(bad[at] ^ flip);
      const auto model = import_model(bad);
      EXPECT_TRUE(model || !model.error().message.empty());
    }
    EXPECT_FALSE(import_model(ByteSpan(good).first(at)));
  }
}

}  // namespace
}  // namespace inkling::tflite_import
