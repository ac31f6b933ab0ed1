// depthwise(conv 1x1(x, we, be), wd, bd) -> expanded_depthwise_conv2d(x, we, be, wd, bd), where the
// expanded image is too large to stay in a cache until it is read, and nobody else reads it.

#include <unordered_map>

#include "runtime/ops.h"
#include "runtime/ops/support.h"
#include "runtime/passes/passes.h"
#include "runtime/passes/rewriter.h"

namespace inkling {

namespace {

constexpr std::size_t kImageBytesMin = 1 << 20;  // half of a usual L2 cache

bool all_equal(const std::vector<std::int64_t>& values, std::int64_t expected) {
  return std::all_of(values.begin(), values.end(), [&](auto v) { return v == expected; });
}

// A 1x1 convolution with a bias and constant weights, of a large image.
bool expands(const Graph& g, const Node& node) {
  if (node.op != OpKind::kConv2d || node.inputs.size() != 3 ||
      g.value(node.inputs[1]).kind != ValueKind::kConstant)
    return false;
  const Shape &w = g.shape(node.inputs[1]), &y = g.shape(node.outputs[0]);
  const auto image = static_cast<std::size_t>(y[1] * y[2] * y[3]) * sizeof(float);
  return w[0] == 1 && w[1] == 1 && w[3] > w[2] && image >= kImageBytesMin &&
         g.spec(node.outputs[0]).dtype == DType::kF32 &&
         all_equal(node.attrs.integers(Attr::kStrides), 1) &&
         all_equal(node.attrs.integers(Attr::kPads), 0);
}

void copy_bound(const Node& from, Attr attr, Attrs& to, Attr as) {
  if (from.attrs.has(attr)) to.set(as, from.attrs.real(attr));
}

}  // namespace

Result<Graph> fuse_expansions(const Graph& graph) {
  Rewriter rewriter(graph);
  const std::vector<std::size_t> uses = count_uses(graph);
  std::unordered_map<ValueId, const Node*> expansions;  // by result
  for (const Node& node : graph.nodes()) {
    const auto found = node.op == OpKind::kDepthwiseConv2d && node.inputs.size() == 3
                           ? expansions.find(node.inputs[0])
                           : expansions.end();
    if (found == expansions.end()) {
      rewriter.copy(node);
      if (expands(graph, node) && uses[static_cast<std::size_t>(node.outputs[0])] == 1)
        expansions.emplace(node.outputs[0], &node);
      continue;
    }
    const Node& expansion = *found->second;
    Attrs attrs = node.attrs;
    copy_bound(expansion, Attr::kMin, attrs, Attr::kExpandMin);
    copy_bound(expansion, Attr::kMax, attrs, Attr::kExpandMax);
    const ValueId y = rewriter.graph().append(
        OpKind::kExpandedDepthwiseConv2d,
        {rewriter.now(expansion.inputs[0]), rewriter.now(expansion.inputs[1]),
         rewriter.now(expansion.inputs[2]), rewriter.now(node.inputs[1]),
         rewriter.now(node.inputs[2])},
        std::move(attrs));
    rewriter.map(node.outputs[0], y);
    rewriter.keep_label(node.outputs[0]);
  }
  INK_TRY(const Graph fused, rewriter.finish());
  return eliminate(fused);
}

}  // namespace inkling
