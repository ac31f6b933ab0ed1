#pragma once
// Builds small TensorFlow Lite models for the importer's tests and as seeds for its fuzzer.

#include <cstring>
#include <functional>
#include <vector>

#include "convert/tflite/schema/tflite_generated.h"
#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace inkling::tflite_import {

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
inline Bytes raw(std::initializer_list<T> values) {
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
inline Bytes model_of(const std::vector<GraphText>& graphs, bool old_code = false) {
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

inline Bytes model_of(std::vector<TensorText> tensors, std::vector<OpText> ops,
                      std::vector<std::int32_t> inputs, std::vector<std::int32_t> outputs,
                      bool old_code = false) {
  return model_of({{std::move(tensors), std::move(ops), std::move(inputs), std::move(outputs)}},
                  old_code);
}

inline Offset<void> activation(FlatBufferBuilder& b, std::int8_t kind) {
  return tflite::CreateArithmeticOptions(b, kind).Union();
}

// y = relu(x W + b), with weights in eight bits
inline Bytes dense_model(bool old_code) {
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

inline Bytes channels_model() {
  return model_of({{{1, 1, 1, 2}},
                   {{1, 1, 1, 2}, kInt8, raw<std::int8_t>({3, 3}), {1.0f, 0.25f}, {0, 1}, 3},
                   {{1, 1, 1, 2}}},
                  {{4,
                    {0, 1},
                    {2},
                    [](FlatBufferBuilder& b) {
                      return tflite::CreateDepthwiseConv2DOptions(b, 0, 1, 1, 1, 0).Union();
                    }}},
                  {0}, {2});
}

inline Bytes halves_model() {
  return model_of(
      {{{2}},
       {{2}, kHalf, raw<std::uint16_t>({0x3c00, 0xc000})},  // 1, -2
       {{2}},
       {{2}}},
      {{6, {1}, {2}}, {18, {0, 2}, {3}, [](FlatBufferBuilder& b) { return activation(b, 0); }}},
      {0}, {3});
}

// Rows of a 3 x 4 matrix of which [0, 1], [0, 3] and [2, 0] are there.
inline Bytes sparse_model() {
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
  return model_of(
      {{{3, 4}}, {{3, 4}, kFloat, raw<float>({5, 6, 7}), {}, {}, 0, sparsity}, {{3, 4}}, {{3, 4}}},
      {{124, {1}, {2}}, {0, {0, 2}, {3}, [](FlatBufferBuilder& b) { return activation(b, 0); }}},
      {0}, {3});
}

// Blocks of 2 x 1 along the columns: the second block row of the first column is there.
inline Bytes blocks_model() {
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
  return model_of({{{4, 2}}, {{4, 2}, kFloat, raw<float>({8, 9}), {}, {}, 0, sparsity}, {{4, 2}}},
                  {{0, {0, 1}, {2}, [](FlatBufferBuilder& b) { return activation(b, 0); }}}, {0},
                  {2});
}

// Activations in eight bits.
inline Bytes rounding_model() {
  return model_of(
      {{{1, 4}, kInt8, {}, {0.5f}, {0}}, {{1, 4}, kFloat, {}}, {{1, 4}, kInt8, {}, {1.0f}, {-1}}},
      {{6, {0}, {1}}, {114, {1}, {2}}}, {0}, {2});
}

// y = then(x) if x > 1 else else(x); the branches are other subgraphs.
inline Bytes branching(GraphText then_graph, GraphText else_graph) {
  const OpText greater{61, {0, 1}, {2}};
  const OpText branch{118, {2, 0}, {3}, [](FlatBufferBuilder& b) {
                        return tflite::CreateIfOptions(b, 1, 2).Union();
                      }};
  return model_of(
      {{{{{1}}, {{1}, kFloat, raw<float>({1})}, {{1}, kBool}, {{1}}}, {greater, branch}, {0}, {3}},
       std::move(then_graph),
       std::move(else_graph)});
}

inline GraphText unary_graph(std::int32_t code, std::int32_t size = 1) {
  return {{{{size}}, {{size}}}, {{code, {0}, {1}}}, {0}, {1}};
}

// One of each kind.
inline std::vector<Bytes> small_models() {
  return {dense_model(false), dense_model(true),
          channels_model(),   halves_model(),
          sparse_model(),     blocks_model(),
          rounding_model(),   branching(unary_graph(59), unary_graph(47))};
}

}  // namespace inkling::tflite_import
