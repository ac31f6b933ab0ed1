#include <cstring>
#include <unordered_map>

#include "runtime/passes/passes.h"
#include "runtime/passes/rewriter.h"

namespace inkling {

namespace {

inline constexpr std::size_t kComparedBytesMax = 256;  // larger constants are taken to differ

std::size_t hash_of(OpKind op, std::span<const ValueId> inputs) {
  std::size_t h = static_cast<std::size_t>(op);
  for (const ValueId id : inputs) h = h * 1000003 + static_cast<std::size_t>(id);
  return h;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.spec() == b.spec() && a.spec().bytes() <= kComparedBytesMax &&
         std::memcmp(a.raw(), b.raw(), a.spec().bytes()) == 0;
}

void share_constants(Rewriter& rewriter) {
  const Graph& source = rewriter.source();
  std::vector<ValueId> small;
  for (std::size_t v = 0; v < source.values().size(); ++v) {
    const ValueId id{static_cast<std::uint32_t>(v)};
    const Value& value = source.value(id);
    if (value.kind != ValueKind::kConstant || value.spec.bytes() > kComparedBytesMax) continue;
    for (const ValueId earlier : small) {
      if (!same(*source.value(earlier).tensor, *value.tensor)) continue;
      rewriter.map(id, rewriter.now(earlier));
      break;
    }
    if (rewriter.now(id) != kNoValue && small.size() < 64) small.push_back(id);
  }
}

}  // namespace

Result<Graph> share(const Graph& graph) {
  Rewriter rewriter(graph);
  share_constants(rewriter);
  std::unordered_multimap<std::size_t, const Node*> seen;
  for (const Node& node : graph.nodes()) {
    const auto inputs = rewriter.now(node.inputs);
    const std::size_t hash = hash_of(node.op, inputs);
    const Node* twin = nullptr;
    for (auto [it, end] = seen.equal_range(hash); it != end && !twin; ++it) {
      const Node& other = *it->second;
      if (other.op == node.op && other.attrs == node.attrs && rewriter.now(other.inputs) == inputs)
        twin = &other;
    }
    if (!twin) {
      rewriter.copy(node);
      seen.emplace(hash, &node);
      continue;
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      rewriter.map(node.outputs[i], rewriter.now(twin->outputs[i]));
  }
  INK_TRY(Graph shared, rewriter.finish());
  return eliminate(shared);
}

}  // namespace inkling
