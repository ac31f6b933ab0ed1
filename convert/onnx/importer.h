#pragma once
// What the op handlers of the ONNX importer work with: the values made so far, and one node at a
// time.

#include <onnx/onnx_pb.h>

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "convert/onnx/import.h"
#include "runtime/ops.h"

namespace inkling::onnx_import {

// Whole numbers that are known while importing: shapes, axes, indices.
struct Integers {
  Shape shape;  // rank 0 or 1
  std::vector<std::int64_t> values;
};

// An ONNX value is a float tensor of the graph, or known integers.
struct Imported {
  ValueId tensor = kNoValue;
  std::optional<Integers> integers;
};

class Importer {
 public:
  Graph graph;
  std::int64_t opset = 0;

  void define(const std::string& name, Imported value) { values_[name] = std::move(value); }
  const Imported* find(const std::string& name) const;

 private:
  std::unordered_map<std::string, Imported> values_;
};

// One node with its inputs and attributes, checked as they are asked for.
class NodeReader {
 public:
  NodeReader(Importer& importer, const onnx::NodeProto& node) : importer_(importer), node_(node) {}

  Graph& graph() { return importer_.graph; }
  std::int64_t opset() const { return importer_.opset; }
  std::string where() const;  // "node 'Conv_3' (Conv)"
  template <typename... Parts>
  tl::unexpected<Error> unsupported(const Parts&... parts) const {
    return fail(ErrorCode::kUnsupported, "onnx: ", where(), ": ", parts...);
  }
  template <typename... Parts>
  tl::unexpected<Error> corrupt(const Parts&... parts) const {
    return fail(ErrorCode::kCorrupt, "onnx: ", where(), ": ", parts...);
  }

  std::size_t input_count() const { return static_cast<std::size_t>(node_.input_size()); }
  bool has(std::size_t i) const {
    return i < input_count() && !node_.input(static_cast<int>(i)).empty();
  }
  Result<const Imported*> input(std::size_t i) const;
  Result<ValueId> tensor(std::size_t i) const;  // a float tensor
  Result<std::vector<std::int64_t>> integers(std::size_t i) const;
  Result<double> number(std::size_t i) const;           // a constant float scalar
  Result<const Tensor*> constant(std::size_t i) const;  // a constant float tensor
  const Shape& shape(ValueId id) const { return importer_.graph.shape(id); }

  const onnx::AttributeProto* attribute(const char* name) const;
  std::int64_t integer_attribute(const char* name, std::int64_t fallback) const;
  double real_attribute(const char* name, double fallback) const;
  std::string text_attribute(const char* name, const char* fallback) const;
  std::vector<std::int64_t> integers_attribute(const char* name) const;

  // An axis from -rank to rank - 1, counted from the front.
  Result<std::size_t> axis(std::int64_t axis, std::size_t rank) const;
  // Axes from input i (newer opsets) or the attribute "axes" (older ones).
  Result<std::vector<std::int64_t>> axes(std::size_t i, std::size_t rank) const;

  Result<void> yield(ValueId value);  // the node's only (or first) output
  Result<void> yield(Integers integers);

 private:
  Importer& importer_;
  const onnx::NodeProto& node_;
};

using Handler = Result<void> (*)(NodeReader&);
struct HandlerRow {
  const char* op;
  Handler import;
};
// One table a file; import.cpp joins them.
std::span<const HandlerRow> arithmetic_handlers();
std::span<const HandlerRow> layer_handlers();
std::span<const HandlerRow> shape_handlers();

// Tensors of the file. kUnsupported: element types other than f32, f64 (rounded), i32, i64, and
// external data.
Result<Imported> import_tensor(const onnx::TensorProto& proto, Graph& graph);

Result<Shape> shape_from(std::span<const std::int64_t> dims);

}  // namespace inkling::onnx_import
