#pragma once
// Graph: a program over tensors, as an append-only list in static single assignment form.
//
// Appending order is topological order, so the graph is also the tape: reverse mode walks it
// backwards and appends (autograd/differentiate.h), optimizers append the update of each variable,
// and one planner and one executor run forward, backward and step alike.
//
// Errors latch: the first one is kept, every later append returns kNoValue, and status() tells.
// Model code therefore reads like its formula and asks once.
//
// A Graph is a value: copying it copies structure and shares the bytes of its constants. One
// writer.

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/attrs.h"
#include "runtime/tensor.h"

namespace inkling {

enum class OpKind : std::uint16_t {
#define INK_OP(Enumerator, name) k##Enumerator,
#include "runtime/ops/ops.inc"
#undef INK_OP
};

std::string_view op_name(OpKind op);

// Names a value of one graph.
enum class ValueId : std::uint32_t {};
inline constexpr ValueId kNoValue{0xffffffff};

enum class ValueKind : std::uint8_t {
  kInput,     // written by the caller before each run
  kConstant,  // fixed bytes
  kVariable,  // outlives a run: weights, moments; initial bytes
  kResult     // what a node computes
};

struct Value {
  ValueKind kind;
  TensorSpec spec;
  std::string name;  // inputs and variables: unique among their kind; results: optional, for people
  // Constants: the bytes; variables: the bytes before the first run. Shared because passes rewrite
  // graphs without copying weights.
  std::shared_ptr<const Tensor> tensor;
};

struct Node {
  OpKind op;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;  // consecutive ids
  Attrs attrs;
};

struct NamedValue {
  std::string name;
  ValueId value;
};

// After each run, `variable` takes the value of `value`.
struct Update {
  ValueId variable;
  ValueId value;
};

inline constexpr std::size_t kNodesMax = 65536;

class Graph {
 public:
  ValueId input(std::string name, TensorSpec spec);
  ValueId constant(Tensor tensor);
  ValueId constant(std::shared_ptr<const Tensor> tensor);
  ValueId variable(std::string name, Tensor initial);
  ValueId variable(std::string name, std::shared_ptr<const Tensor> initial);

  // Appends a node and returns its first output; output i is result_of(first, i). Shapes are
  // inferred and checked here; a refusal latches as kInvalidArgument.
  ValueId append(OpKind op, std::span<const ValueId> inputs, Attrs attrs = {});
  ValueId append(OpKind op, std::initializer_list<ValueId> inputs, Attrs attrs = {}) {
    return append(op, std::span<const ValueId>(inputs.begin(), inputs.size()), std::move(attrs));
  }
  static ValueId result_of(ValueId first, std::uint32_t i) {
    return first == kNoValue ? kNoValue : ValueId{static_cast<std::uint32_t>(first) + i};
  }

  void output(std::string name, ValueId value);  // names a result; names are unique
  void update(ValueId variable, ValueId value);  // of a result with an equal spec; at most one each
  void label(ValueId value, std::string_view name);  // names a result for people and profiles
  void set_variable(ValueId variable,
                    Tensor initial);  // other bytes before the first run; same spec
  void latch(Error error);            // keeps the first error

  const Result<void>& status() const { return status_; }

  std::span<const Node> nodes() const { return nodes_; }
  std::span<const Value> values() const { return values_; }
  // Of kNoValue: a nameless f32 scalar, so that model code may go on after an error has latched.
  const Value& value(ValueId id) const {
    return id == kNoValue ? nothing() : values_[static_cast<std::size_t>(id)];
  }
  const TensorSpec& spec(ValueId id) const { return value(id).spec; }
  const Shape& shape(ValueId id) const { return value(id).spec.shape; }
  std::span<const ValueId> inputs() const { return inputs_; }
  std::span<const ValueId> variables() const { return variables_; }
  std::span<const NamedValue> outputs() const { return outputs_; }
  std::span<const Update> updates() const { return updates_; }

  ValueId find_input(std::string_view name) const;  // kNoValue when there is none
  ValueId find_variable(std::string_view name) const;
  ValueId find_output(std::string_view name) const;

 private:
  static const Value& nothing();
  ValueId add_value(ValueKind kind, TensorSpec spec, std::string name,
                    std::shared_ptr<const Tensor> tensor);

  std::vector<Node> nodes_;
  std::vector<Value> values_;
  std::vector<ValueId> inputs_;
  std::vector<ValueId> variables_;
  std::vector<NamedValue> outputs_;
  std::vector<Update> updates_;
  Result<void> status_;
};

}  // namespace inkling
