#include "convert/tflite/import.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "convert/tflite/schema/tflite_generated.h"
#include "runtime/base/rng.h"
#include "runtime/session.h"

namespace inkling::tflite_import {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

constexpr std::int8_t kFloat = 0, kHalf = 1, kInt32 = 2, kBool = 6, kInt8 = 9;

struct TensorText {
  std::vector<std::int32_t> shape;
  std::int8_t type = kFloat;
  Bytes data = {};  // of a constant
  std::vector<float> scales = {};
  std::vector<std::int64_t> zeros = {};
  std::int32_t axis = 0;
  std::function<Offset<tflite::SparsityParameters>(FlatBufferBuilder&)> sparsity = {};
};

struct OpText {
  std::int32_t code;
  std::vector<std::int32_t> inputs, outputs;
  std::function<Offset<void>(FlatBufferBuilder&)> options = {};
};

template <typename T>
Bytes raw(std::initializer_list<T> values) {
  Bytes bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

struct GraphText {
  std::vector<TensorText> tensors;  // tensor i is named "t<i>"
  std::vector<OpText> ops;
  std::vector<std::int32_t> inputs, outputs;
};

// Old files have the op's code in another field.
Bytes model_of(const std::vector<GraphText>& graphs, bool old_code = false) {
  FlatBufferBuilder b;
  std::vector<Offset<tflite::Buffer>> buffers = {tflite::CreateBuffer(b)};
  std::vector<Offset<tflite::OperatorCode>> codes;
  std::vector<Offset<tflite::SubGraph>> subgraphs;
  for (const GraphText& graph : graphs) {
    std::vector<Offset<tflite::Tensor>> made;
    for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
      const TensorText& t = graph.tensors[i];
      std::uint32_t buffer = 0;
      if (!t.data.empty()) {
        buffer = static_cast<std::uint32_t>(buffers.size());
        buffers.push_back(tflite::CreateBufferDirect(b, &t.data));
      }
      Offset<tflite::QuantizationParameters> quantization;
      if (!t.scales.empty())
        quantization = tflite::CreateQuantizationParametersDirect(b, &t.scales, &t.zeros, t.axis);
      Offset<tflite::SparsityParameters> sparsity;
      if (t.sparsity) sparsity = t.sparsity(b);
      made.push_back(tflite::CreateTensorDirect(b, &t.shape, t.type, buffer, concat("t", i).c_str(),
                                                quantization, false, sparsity));
    }
    std::vector<Offset<tflite::Operator>> operators;
    for (const OpText& op : graph.ops) {
      codes.push_back(tflite::CreateOperatorCode(
          b, static_cast<std::int8_t>(std::min(op.code, 127)), 0, 1, old_code ? 0 : op.code));
      Offset<tflite::Opaque> options;
      if (op.options) options = Offset<tflite::Opaque>(op.options(b).o);
      operators.push_back(tflite::CreateOperatorDirect(
          b, static_cast<std::uint32_t>(codes.size() - 1), &op.inputs, &op.outputs, 1, options));
    }
    subgraphs.push_back(
        tflite::CreateSubGraphDirect(b, &made, &graph.inputs, &graph.outputs, &operators));
  }
  b.Finish(tflite::CreateModelDirect(b, 3, &codes, &subgraphs, "test", &buffers), "TFL3");
  return {b.GetBufferPointer(), b.GetBufferPointer() + b.GetSize()};
}

Bytes model_of(std::vector<TensorText> tensors, std::vector<OpText> ops,
               std::vector<std::int32_t> inputs, std::vector<std::int32_t> outputs,
               bool old_code = false) {
  return model_of({{std::move(tensors), std::move(ops), std::move(inputs), std::move(outputs)}},
                  old_code);
}

Offset<void> activation(FlatBufferBuilder& b, std::int8_t kind) {
  return tflite::CreateArithmeticOptions(b, kind).Union();
}

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

// y = relu(x W + b), with weights in eight bits
Bytes dense_model(bool old_code) {
  return model_of(
      {{{1, 2}},
       {{3, 2}, kInt8, raw<std::int8_t>({10, 20, -10, 0, 4, -4}), {0.5f}, {2}},
       {{3}, kFloat, raw<float>({1, 2, 3})},
       {{1, 3}}},
      {{9,
        {0, 1, 2},
        {3},
        [](FlatBufferBuilder& b) { return tflite::CreateFullyConnectedOptions(b, 1).Union(); }}},
      {0}, {3}, old_code);
}

TEST(Tflite, ReadsWeightsWithAScale) {
  // weights (q - 2) / 2: [4 9; -6 -1; 1 -3]
  EXPECT_EQ(run(dense_model(false), "t3", {1, 2}), (std::vector<float>{23, 0, 0}));
}

TEST(Tflite, ReadsFilesThatHaveTheirOpInTheOldFieldOnly) {
  EXPECT_EQ(run(dense_model(true), "t3", {1, 0}), (std::vector<float>{5, 0, 4}));
}

TEST(Tflite, ReadsAScaleForEachChannel) {
  const Bytes bytes =
      model_of({{{1, 1, 1, 2}},
                {{1, 1, 1, 2}, kInt8, raw<std::int8_t>({3, 3}), {1.0f, 0.25f}, {0, 1}, 3},
                {{1, 1, 1, 2}}},
               {{4,
                 {0, 1},
                 {2},
                 [](FlatBufferBuilder& b) {
                   return tflite::CreateDepthwiseConv2DOptions(b, 0, 1, 1, 1, 0).Union();
                 }}},
               {0}, {2});
  EXPECT_EQ(run(bytes, "t2", {10, 10}), (std::vector<float>{30, 5}));
}

TEST(Tflite, ReadsHalfFloatsThroughDequantize) {
  const Bytes bytes = model_of(
      {{{2}},
       {{2}, kHalf, raw<std::uint16_t>({0x3c00, 0xc000})},  // 1, -2
       {{2}},
       {{2}}},
      {{6, {1}, {2}}, {18, {0, 2}, {3}, [](FlatBufferBuilder& b) { return activation(b, 0); }}},
      {0}, {3});
  EXPECT_EQ(run(bytes, "t3", {3, 4}), (std::vector<float>{3, -8}));
}

// Rows of a 3 x 4 matrix of which [0, 1], [0, 3] and [2, 0] are there.
TEST(Tflite, ReadsSparseConstants) {
  const auto sparsity = [](FlatBufferBuilder& b) {
    const std::vector<std::uint8_t> segments = {0, 2, 2, 3}, indices = {1, 3, 0};
    const std::vector<std::int32_t> order = {0, 1};
    const auto from = tflite::CreateUint8VectorDirect(b, &segments).Union();
    const auto to = tflite::CreateUint8VectorDirect(b, &indices).Union();
    const std::vector<Offset<tflite::DimensionMetadata>> dimensions = {
        tflite::CreateDimensionMetadata(b, 0, 3),
        tflite::CreateDimensionMetadata(b, 1, 0, tflite::IndexVector::Uint8Vector, from,
                                        tflite::IndexVector::Uint8Vector, to)};
    return tflite::CreateSparsityParametersDirect(b, &order, nullptr, &dimensions);
  };
  const Bytes bytes = model_of(
      {{{3, 4}}, {{3, 4}, kFloat, raw<float>({5, 6, 7}), {}, {}, 0, sparsity}, {{3, 4}}, {{3, 4}}},
      {{124, {1}, {2}}, {0, {0, 2}, {3}, [](FlatBufferBuilder& b) { return activation(b, 0); }}},
      {0}, {3});
  EXPECT_EQ(run(bytes, "t3", std::vector<float>(12, 0.0f)),
            (std::vector<float>{0, 5, 0, 6, 0, 0, 0, 0, 7, 0, 0, 0}));
}

// Blocks of 2 x 1 along the columns: the second block row of the first column is there.
TEST(Tflite, ReadsSparseBlocks) {
  const auto sparsity = [](FlatBufferBuilder& b) {
    const std::vector<std::int32_t> segments = {0, 0, 1}, indices = {0}, order = {0, 1, 2},
                                    map = {0};
    const auto from = tflite::CreateInt32VectorDirect(b, &segments).Union();
    const auto to = tflite::CreateInt32VectorDirect(b, &indices).Union();
    const std::vector<Offset<tflite::DimensionMetadata>> dimensions = {
        tflite::CreateDimensionMetadata(b, 0, 2),
        tflite::CreateDimensionMetadata(b, 1, 0, tflite::IndexVector::Int32Vector, from,
                                        tflite::IndexVector::Int32Vector, to),
        tflite::CreateDimensionMetadata(b, 0, 2)};
    return tflite::CreateSparsityParametersDirect(b, &order, &map, &dimensions);
  };
  const Bytes bytes =
      model_of({{{4, 2}}, {{4, 2}, kFloat, raw<float>({8, 9}), {}, {}, 0, sparsity}, {{4, 2}}},
               {{0, {0, 1}, {2}, [](FlatBufferBuilder& b) { return activation(b, 0); }}}, {0}, {2});
  EXPECT_EQ(run(bytes, "t2", std::vector<float>(8, 0.0f)),
            (std::vector<float>{0, 0, 0, 0, 8, 0, 9, 0}));
}

// Activations in eight bits: what comes out is a multiple of the scale, within the type.
TEST(Tflite, RoundsActivationsToTheirScale) {
  const Bytes bytes = model_of(
      {{{1, 4}, kInt8, {}, {0.5f}, {0}}, {{1, 4}, kFloat, {}}, {{1, 4}, kInt8, {}, {1.0f}, {-1}}},
      {{6, {0}, {1}}, {114, {1}, {2}}}, {0}, {2});
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

// y = then(x) if x > 1 else else(x); the branches are other subgraphs.
Bytes branching(GraphText then_graph, GraphText else_graph) {
  const OpText greater{61, {0, 1}, {2}};
  const OpText branch{118, {2, 0}, {3}, [](FlatBufferBuilder& b) {
                        return tflite::CreateIfOptions(b, 1, 2).Union();
                      }};
  return model_of(
      {{{{{1}}, {{1}, kFloat, raw<float>({1})}, {{1}, kBool}, {{1}}}, {greater, branch}, {0}, {3}},
       std::move(then_graph),
       std::move(else_graph)});
}

GraphText unary_graph(std::int32_t code, std::int32_t size = 1) {
  return {{{{size}}, {{size}}}, {{code, {0}, {1}}}, {0}, {1}};
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
    for (const int flip : {0x01, 0x80, 0xff}) {
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
