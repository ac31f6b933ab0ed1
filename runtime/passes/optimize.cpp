#include "runtime/passes/passes.h"

namespace inkling {

Result<Graph> simplify(const Graph& graph, bool keep_scales) {
  INK_TRY(Graph g, eliminate(graph));
  INK_TRY(g, fold_constants(g));
  INK_TRY(g, sink_transposes(g));
  INK_TRY(g, fold_constants(g));
  INK_TRY(g, share(g));
  if (keep_scales) return g;
  return fold_scales(g);
}

Result<Graph> optimize(const Graph& graph) {
  INK_TRY(Graph g, simplify(graph));
  INK_TRY(g, fuse(g));
  return fold_constants(g);
}

}  // namespace inkling
