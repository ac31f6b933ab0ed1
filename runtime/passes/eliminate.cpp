#include <vector>

#include "runtime/passes/passes.h"
#include "runtime/passes/rewriter.h"

namespace inkling {

Result<Graph> eliminate(const Graph& graph) {
  std::vector<bool> needed(graph.values().size(), false);
  for (const NamedValue& output : graph.outputs())
    needed[static_cast<std::size_t>(output.value)] = true;
  for (const Update& update : graph.updates())
    needed[static_cast<std::size_t>(update.value)] = true;
  std::vector<bool> kept(graph.nodes().size(), false);
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    for (const ValueId id : node.outputs) kept[i] = kept[i] || needed[static_cast<std::size_t>(id)];
    if (!kept[i]) continue;
    for (const ValueId id : node.inputs) needed[static_cast<std::size_t>(id)] = true;
  }
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    if (kept[i]) rewriter.copy(graph.nodes()[i]);
  }
  return rewriter.finish();
}

}  // namespace inkling
