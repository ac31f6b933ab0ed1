#include <algorithm>

#include "runtime/op.h"
#include "runtime/passes/passes.h"
#include "runtime/passes/rewriter.h"

namespace inkling {

namespace {

bool is_update(const Graph& graph, const Node& node) {
  return std::any_of(graph.updates().begin(), graph.updates().end(), [&](const Update& update) {
    return std::find(node.outputs.begin(), node.outputs.end(), update.value) != node.outputs.end();
  });
}

}  // namespace

bool fold_last_node(Graph& graph, std::vector<ValueId>& results, RepeatedConstants* repeated) {
  const Node node = graph.nodes().back();
  std::size_t in_bytes = 0, out_bytes = 0;
  std::vector<TensorView> in, out;
  for (const ValueId id : node.inputs) {
    const Tensor* tensor = graph.value(id).tensor.get();
    if (graph.value(id).kind != ValueKind::kConstant) {
      const auto found = repeated ? repeated->find(id) : RepeatedConstants::iterator();
      if (!repeated || found == repeated->end()) return false;
      tensor = &found->second;
    }
    in_bytes += tensor->spec().bytes();
    in.push_back({tensor->spec(), const_cast<void*>(tensor->raw())});
  }
  for (const ValueId id : node.outputs) out_bytes += graph.spec(id).bytes();
  const bool grows = out_bytes > std::max(in_bytes, kFoldedBytesFree);
  const bool repeats =
      repeated && node.op == OpKind::kBroadcastTo && out_bytes <= kRepeatedBytesMax;
  if (grows && !repeats) return false;
  std::vector<Tensor> tensors;
  for (const ValueId id : node.outputs) tensors.push_back(Tensor::zeros(graph.spec(id)));
  for (Tensor& tensor : tensors) out.push_back(tensor.view());
  ThreadPool pool(1);
  op_def(node.op).reference({in, out, node.attrs, pool});
  if (grows) {
    repeated->emplace(node.outputs[0], std::move(tensors[0]));
    return false;
  }
  results.clear();
  for (Tensor& tensor : tensors) results.push_back(graph.constant(std::move(tensor)));
  return true;
}

Result<Graph> fold_constants(const Graph& graph) {
  Rewriter rewriter(graph);
  std::vector<ValueId> results;
  RepeatedConstants repeated;
  for (const Node& node : graph.nodes()) {
    rewriter.copy(node);
    INK_CHECK_OK(rewriter.graph().status());
    // Folded, the copy has no reader left, and eliminate() drops it.
    if (is_update(graph, node) || !fold_last_node(rewriter.graph(), results, &repeated)) continue;
    for (std::size_t i = 0; i < results.size(); ++i) rewriter.map(node.outputs[i], results[i]);
  }
  INK_TRY(Graph folded, rewriter.finish());
  return eliminate(folded);
}

}  // namespace inkling
