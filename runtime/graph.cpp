#include "runtime/graph.h"

#include <algorithm>

#include "runtime/op.h"

namespace inkling {

namespace {

template <typename Range>
ValueId find_named(const Graph& graph, const Range& ids, std::string_view name) {
  for (const ValueId id : ids) {
    if (graph.value(id).name == name) return id;
  }
  return kNoValue;
}

}  // namespace

void Graph::latch(Error error) {
  if (status_) status_ = tl::unexpected<Error>(std::move(error));
}

const Value& Graph::nothing() {
  static const Value kNothing{ValueKind::kResult, {}, {}, nullptr};
  return kNothing;
}

ValueId Graph::add_value(ValueKind kind, TensorSpec spec, std::string name,
                         std::shared_ptr<const Tensor> tensor) {
  values_.push_back({kind, spec, std::move(name), std::move(tensor)});
  return ValueId{static_cast<std::uint32_t>(values_.size() - 1)};
}

ValueId Graph::input(std::string name, TensorSpec spec) {
  if (find_input(name) != kNoValue)
    latch({ErrorCode::kInvalidArgument, concat("graph: two inputs named '", name, "'")});
  if (!status_) return kNoValue;
  inputs_.push_back(add_value(ValueKind::kInput, spec, std::move(name), nullptr));
  return inputs_.back();
}

ValueId Graph::constant(Tensor tensor) {
  return constant(std::make_shared<const Tensor>(std::move(tensor)));
}

ValueId Graph::constant(std::shared_ptr<const Tensor> tensor) {
  if (!status_) return kNoValue;
  const TensorSpec spec = tensor->spec();
  return add_value(ValueKind::kConstant, spec, {}, std::move(tensor));
}

ValueId Graph::variable(std::string name, Tensor initial) {
  return variable(std::move(name), std::make_shared<const Tensor>(std::move(initial)));
}

ValueId Graph::variable(std::string name, std::shared_ptr<const Tensor> initial) {
  if (find_variable(name) != kNoValue) {
    latch({ErrorCode::kInvalidArgument, concat("graph: two variables named '", name, "'")});
  }
  if (!status_) return kNoValue;
  const TensorSpec spec = initial->spec();
  variables_.push_back(add_value(ValueKind::kVariable, spec, std::move(name), std::move(initial)));
  return variables_.back();
}

void Graph::set_variable(ValueId variable, Tensor initial) {
  INK_INVARIANT(value(variable).kind == ValueKind::kVariable && spec(variable) == initial.spec());
  values_[static_cast<std::size_t>(variable)].tensor =
      std::make_shared<const Tensor>(std::move(initial));
}

ValueId Graph::append(OpKind op, std::span<const ValueId> inputs, Attrs attrs) {
  if (!status_) return kNoValue;
  const OpDef& def = op_def(op);
  if (nodes_.size() >= kNodesMax) {
    latch({ErrorCode::kResourceLimit, concat("graph: more than ", kNodesMax, " nodes")});
    return kNoValue;
  }
  std::vector<TensorSpec> specs;
  for (const ValueId id : inputs) {
    INK_INVARIANT(static_cast<std::size_t>(id) < values_.size());
    specs.push_back(spec(id));
  }
  auto outputs = def.infer(specs, attrs);
  if (!outputs) {
    latch({outputs.error().code, concat(def.name, ": ", outputs.error().message)});
    return kNoValue;
  }
  Node node{op, {inputs.begin(), inputs.end()}, {}, std::move(attrs)};
  for (const TensorSpec& output : *outputs)
    node.outputs.push_back(add_value(ValueKind::kResult, output, {}, nullptr));
  nodes_.push_back(std::move(node));
  return nodes_.back().outputs.front();
}

void Graph::output(std::string name, ValueId value) {
  if (find_output(name) != kNoValue)
    latch({ErrorCode::kInvalidArgument, concat("graph: two outputs named '", name, "'")});
  if (status_) outputs_.push_back({std::move(name), value});
}

void Graph::update(ValueId variable, ValueId value) {
  if (!status_) return;
  if (this->value(value).kind != ValueKind::kResult) {
    latch({ErrorCode::kInvalidArgument, concat("graph: the update of variable '",
                                               this->value(variable).name, "' is not a result")});
  }
  if (spec(variable) != spec(value)) {
    latch({ErrorCode::kInvalidArgument,
           concat("graph: variable '", this->value(variable).name, "' is ", spec(variable),
                  ", its update is ", spec(value))});
  }
  for (const Update& earlier : updates_) {
    if (earlier.variable == variable) {
      latch({ErrorCode::kInvalidArgument,
             concat("graph: variable '", this->value(variable).name, "' is updated twice")});
    }
  }
  if (status_) updates_.push_back({variable, value});
}

void Graph::label(ValueId value, std::string_view name) {
  if (value != kNoValue && values_[static_cast<std::size_t>(value)].kind == ValueKind::kResult) {
    values_[static_cast<std::size_t>(value)].name = name;
  }
}

ValueId Graph::find_input(std::string_view name) const { return find_named(*this, inputs_, name); }
ValueId Graph::find_variable(std::string_view name) const {
  return find_named(*this, variables_, name);
}

ValueId Graph::find_output(std::string_view name) const {
  for (const NamedValue& output : outputs_) {
    if (output.name == name) return output.value;
  }
  return kNoValue;
}

}  // namespace inkling
