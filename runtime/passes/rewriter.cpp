#include "runtime/passes/rewriter.h"

namespace inkling {

Rewriter::Rewriter(const Graph& source) : source_(source), now_(source.values().size(), kNoValue) {
  for (const ValueId id : source.inputs())
    map(id, target_.input(source.value(id).name, source.spec(id)));
  for (const ValueId id : source.variables())
    map(id, target_.variable(source.value(id).name, source.value(id).tensor));
}

ValueId Rewriter::now(ValueId old) {
  ValueId& value = now_[static_cast<std::size_t>(old)];
  if (value == kNoValue && source_.value(old).kind == ValueKind::kConstant) {
    value = target_.constant(source_.value(old).tensor);
  }
  return value;
}

std::vector<ValueId> Rewriter::now(std::span<const ValueId> old) {
  std::vector<ValueId> values;
  for (const ValueId id : old) values.push_back(now(id));
  return values;
}

void Rewriter::copy(const Node& node) {
  const ValueId first = target_.append(node.op, now(node.inputs), node.attrs);
  for (std::uint32_t i = 0; i < node.outputs.size(); ++i) {
    map(node.outputs[i], Graph::result_of(first, i));
    keep_label(node.outputs[i]);
  }
}

void Rewriter::keep_label(ValueId old) {
  if (const auto& name = source_.value(old).name; !name.empty()) target_.label(now(old), name);
}

Result<Graph> Rewriter::finish() {
  for (const NamedValue& output : source_.outputs()) target_.output(output.name, now(output.value));
  for (const Update& update : source_.updates())
    target_.update(now(update.variable), now(update.value));
  INK_CHECK_OK(target_.status());
  return std::move(target_);
}

std::vector<std::size_t> count_uses(const Graph& graph) {
  std::vector<std::size_t> uses(graph.values().size());
  for (const Node& node : graph.nodes()) {
    for (const ValueId id : node.inputs) ++uses[static_cast<std::size_t>(id)];
  }
  for (const NamedValue& output : graph.outputs()) ++uses[static_cast<std::size_t>(output.value)];
  for (const Update& update : graph.updates()) ++uses[static_cast<std::size_t>(update.value)];
  return uses;
}

}  // namespace inkling
