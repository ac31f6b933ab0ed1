#include "runtime/passes/passes.h"

namespace inkling {

namespace {

constexpr Pass kPasses[] = {
    {"eliminate", eliminate},
    {"fold_constants", fold_constants},
    {"sink_transposes", sink_transposes},
    {"fold_constants", fold_constants},
    {"share", share},
    {"fold_scales", fold_scales},
    {"distribute", distribute},
    {"fold_constants", fold_constants},
    {"fuse", fuse},
    {"fuse_expansions", fuse_expansions},
    {"fold_constants", fold_constants},
};

}  // namespace

std::span<const Pass> passes() { return kPasses; }

Result<Graph> simplify(const Graph& graph, bool keep_scales) {
  Graph g = graph;
  for (const Pass& pass : passes()) {
    if (pass.run == fuse) break;
    if (pass.run == fold_scales && keep_scales) continue;
    INK_TRY(g, pass.run(g));
  }
  return g;
}

Result<Graph> optimize(const Graph& graph) {
  Graph g = graph;
  for (const Pass& pass : passes()) {
    INK_TRY(g, pass.run(g));
  }
  return g;
}

}  // namespace inkling
