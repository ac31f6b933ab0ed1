#include "autograd/row_gradient.h"

#include <algorithm>
#include <vector>

#include "runtime/ops.h"

namespace inkling {

namespace {

// The scatters that `value` is the sum of, in order; false when there is anything else in it.
bool find_scatters(const Graph& g, ValueId value, std::vector<const Node*>& scatters) {
  const auto nodes = g.nodes();
  const auto node = std::find_if(nodes.rbegin(), nodes.rend(),
                                 [&](const Node& n) { return n.outputs[0] == value; });
  if (node == nodes.rend()) return false;
  if (node->op == OpKind::kAdd) {
    return find_scatters(g, node->inputs[0], scatters) &&
           find_scatters(g, node->inputs[1], scatters);
  }
  scatters.push_back(&*node);
  return node->op == OpKind::kScatterAdd && node->attrs.integer(Attr::kAxis) == 0;
}

}  // namespace

std::optional<RowGradient> row_gradient(Graph& g, ValueId gradient) {
  std::vector<const Node*> scatters;
  if (!find_scatters(g, gradient, scatters)) return std::nullopt;
  std::vector<std::pair<ValueId, ValueId>> found;  // indices and updates, before nodes move
  for (const Node* node : scatters) found.emplace_back(node->inputs[0], node->inputs[1]);
  const Shape table = g.shape(gradient);
  std::vector<ValueId> rows, values;
  for (const auto& [indices, updates] : found) {
    const std::int64_t picked = g.shape(indices).elements();
    rows.push_back(cast(g, reshape(g, indices, Shape{picked}), DType::kI64));
    values.push_back(reshape(g, updates, table.with(0, picked)));
  }
  if (found.size() == 1) return RowGradient{rows[0], values[0]};
  return RowGradient{concat(g, rows, 0), concat(g, values, 0)};
}

}  // namespace inkling
