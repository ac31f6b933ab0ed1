#pragma once
// What the op handlers of the ONNX importer work with: the values made so far, and one node at a
// time.

#include <onnx/onnx_pb.h>

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "convert/onnx/import.h"
#include "convert/onnx/tensor_reader.h"
#include "runtime/ops.h"

namespace inkling::onnx_import {

// The tensors of a model file, read once however often the model is specialised.
using Weights = std::unordered_map<const onnx::TensorProto*, std::shared_ptr<const Tensor>>;

// An ONNX value: a tensor of the graph, or a list of values (a sequence), or an optional that is
// empty. Lists exist only while importing.
struct Imported {
  ValueId tensor = kNoValue;
  std::optional<std::vector<Imported>> items;

  bool absent() const { return tensor == kNoValue && !items; }
};

class Importer {
 public:
  Importer(Weights& weights, std::int64_t version) : opset(version), weights_(weights) {}

  Graph graph;
  const std::int64_t opset;

  void define(const std::string& name, Imported value) { scopes_.back()[name] = std::move(value); }
  const Imported* find(const std::string& name) const;  // innermost scope first; null: not defined

  Result<ValueId> constant(const onnx::TensorProto& proto);
  Result<void> run(const onnx::GraphProto& graph);  // initializers, then nodes in order
  // Runs a subgraph that sees the names around it, with values for its inputs; gives its outputs.
  Result<std::vector<Imported>> call(const onnx::GraphProto& body, std::vector<Imported> inputs);

  // The numbers of a value that depends on constants only, computed when first asked for. Null when
  // it depends on inputs, whose names are then added to needed().
  Result<const Tensor*> known(ValueId id) { return known(id, needed_); }
  Result<const Tensor*> known(ValueId id, std::set<std::string>& depends_on);
  void need(const std::set<std::string>& inputs) { needed_.insert(inputs.begin(), inputs.end()); }
  const std::set<std::string>& needed() const { return needed_; }

 private:
  Result<void> evaluate(const Node& node);
  Result<void> expect_small_values();

  Weights& weights_;
  std::vector<std::unordered_map<std::string, Imported>> scopes_{1};
  std::vector<std::shared_ptr<const Tensor>> known_;  // by value, as far as computed
  std::vector<std::size_t> producer_;                 // by value: its node
  std::size_t nodes_seen_ = 0;
  std::size_t values_seen_ = 0;
  std::size_t known_bytes_ = 0;
  std::size_t nodes_run_ = 0;
  std::set<std::string> needed_;
};

// One node with its inputs and attributes, checked as they are asked for.
class NodeReader {
 public:
  NodeReader(Importer& owner, const onnx::NodeProto& node) : importer_(owner), node_(node) {}

  Importer& importer() { return importer_; }
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
  std::size_t output_count() const { return static_cast<std::size_t>(node_.output_size()); }
  bool has(std::size_t i) const {
    return i < input_count() && !node_.input(static_cast<int>(i)).empty();
  }
  bool wants(std::size_t i) const {
    return i < output_count() && !node_.output(static_cast<int>(i)).empty();
  }

  Result<const Imported*> input(std::size_t i) const;
  Result<ValueId> tensor(std::size_t i) const;  // of any element type
  // Of numbers to compute with: f16 and bf16 become f32, and yield() turns f32 results back.
  Result<ValueId> number(std::size_t i);
  Result<ValueId> floats(std::size_t i);             // the same, and f32 or f64
  Result<const Tensor*> known(std::size_t i) const;  // whose value is known while importing
  Result<std::vector<std::int64_t>> integers(std::size_t i) const;  // known, as i64
  Result<double> real(std::size_t i) const;                         // known, one number
  const Shape& shape(ValueId id) const { return importer_.graph.shape(id); }
  DType dtype(ValueId id) const { return importer_.graph.spec(id).dtype; }

  const onnx::AttributeProto* attribute(const char* name) const;
  std::int64_t integer_attribute(const char* name, std::int64_t fallback) const;
  bool flag(const char* name, bool fallback = false) const {
    return integer_attribute(name, fallback) != 0;
  }
  double real_attribute(const char* name, double fallback) const;
  std::string text_attribute(const char* name, const char* fallback) const;
  std::vector<std::int64_t> integers_attribute(const char* name) const;
  std::vector<double> reals_attribute(const char* name) const;
  std::vector<std::string> texts_attribute(const char* name) const;

  // An axis from -rank to rank - 1, counted from the front.
  Result<std::size_t> axis(std::int64_t axis, std::size_t rank) const;
  // Axes from input i (newer opsets) or the attribute "axes" (older ones).
  Result<std::vector<std::int64_t>> axes(std::size_t i, std::size_t rank) const;
  Result<DType> dtype_of(std::int64_t type) const;  // of an ONNX element type

  Result<void> yield(ValueId value) { return yield(0, value); }
  Result<void> yield(std::size_t output, ValueId value);
  Result<void> yield_list(std::vector<Imported> items);
  Result<void> yield(std::size_t output, Imported value);
  template <typename T>
  Result<void> yield_constant(const Shape& shape, std::span<const T> values, std::size_t i = 0) {
    return yield(i, graph().constant(Tensor::from<T>(shape, values)));
  }

 private:
  Importer& importer_;
  const onnx::NodeProto& node_;
  std::optional<DType> half_;  // what number() has promoted
};

using Handler = Result<void> (*)(NodeReader&);
struct HandlerRow {
  const char* op;
  Handler import;
};
// One table a file; importer.cpp joins them.
std::span<const HandlerRow> arithmetic_handlers();
std::span<const HandlerRow> control_handlers();
std::span<const HandlerRow> convolution_handlers();
std::span<const HandlerRow> dependent_handlers();
std::span<const HandlerRow> indexing_handlers();
std::span<const HandlerRow> linear_handlers();
std::span<const HandlerRow> loss_handlers();
std::span<const HandlerRow> normalization_handlers();
std::span<const HandlerRow> quantization_handlers();
std::span<const HandlerRow> recurrent_handlers();
std::span<const HandlerRow> reduction_handlers();
std::span<const HandlerRow> sampling_handlers();
std::span<const HandlerRow> sequence_handlers();
std::span<const HandlerRow> shape_handlers();
std::span<const HandlerRow> signal_handlers();
std::span<const HandlerRow> training_handlers();

Result<Shape> shape_from(std::span<const std::int64_t> dims);

// The same for shapes that a handler makes up: an error latches in the graph.
Shape shape_or_latch(Graph& g, std::span<const std::int64_t> dims);

// Small things that several handler files say.
ValueId whole_numbers(Graph& g, const Shape& shape, std::span<const std::int64_t> values);
inline ValueId whole_numbers(Graph& g, std::span<const std::int64_t> values) {
  return whole_numbers(g, Shape{static_cast<std::int64_t>(values.size())}, values);
}
std::vector<std::int64_t> counting(std::int64_t n);   // 0, 1, ..., n - 1
Shape without(const Shape& shape, std::size_t axis);  // an axis less
ValueId swap_axes(Graph& g, ValueId x, std::size_t a, std::size_t b);
// [.., a, .., b, ..] with the axis moved to the end, the others in order.
ValueId axis_to_back(Graph& g, ValueId x, std::size_t axis);
ValueId axis_from_back(Graph& g, ValueId x, std::size_t axis);

}  // namespace inkling::onnx_import
