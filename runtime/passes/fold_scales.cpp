// Two rewrites, applied until nothing changes, where w, b and s are constants:
//   mul(linear(x, w), s[c])          -> linear(x, w s)
//   mul(add(linear(x, w), b), s[c])  -> add(linear(x, w s), b s)
// A batch norm with fixed statistics is a scale and a shift for each channel, and folds away here.
// The values in between must have no other reader. The result can be differentiated.

#include "runtime/ops.h"
#include "runtime/passes/passes.h"
#include "runtime/passes/rewriter.h"

namespace inkling {

namespace {

class ScaleFolder {
 public:
  explicit ScaleFolder(const Graph& source)
      : rewriter_(source), uses_(count_uses(source)), producers_(source.values().size(), nullptr) {}

  bool changed() const { return changed_; }

  Result<Graph> run() {
    for (const Node& node : rewriter_.source().nodes()) {
      for (const ValueId id : node.outputs) producers_[at(id)] = &node;
      if (node.op == OpKind::kMul && (fold(node, node.inputs[0], node.inputs[1]) ||
                                      fold(node, node.inputs[1], node.inputs[0])))
        continue;
      rewriter_.copy(node);
    }
    INK_TRY(Graph folded, rewriter_.finish());
    return eliminate(folded);
  }

 private:
  static std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

  const Node* producer(ValueId id, OpKind op) const {
    const Node* node = producers_[at(id)];
    return node != nullptr && node->op == op ? node : nullptr;
  }

  // The operand that broadcast_to repeats, if that is a constant with one number a channel (the
  // last axis) of y; else kNoValue.
  ValueId channel_constant(ValueId operand, ValueId y) const {
    const Graph& g = rewriter_.source();
    if (const Node* repeat = producer(operand, OpKind::kBroadcastTo)) operand = repeat->inputs[0];
    const Shape& s = g.value(operand).spec.shape;
    const std::int64_t channels = g.shape(y).rank() > 0 ? g.shape(y).back() : 0;
    const bool fits = g.value(operand).kind == ValueKind::kConstant && s.rank() >= 1 &&
                      s.back() == channels && s.elements() == channels;
    return fits ? operand : kNoValue;
  }

  // The linear node behind y whose weights are a constant with one column an output channel.
  const Node* linear(ValueId y) const {
    const Node* node = producers_[at(y)];
    if (node == nullptr || uses_[at(y)] != 1 || node->inputs.size() != 2 ||
        node->attrs.has(Attr::kMin))
      return nullptr;
    const Value& weights = rewriter_.source().value(node->inputs[1]);
    const bool columns = node->op == OpKind::kConv2d || node->op == OpKind::kDepthwiseConv2d ||
                         (node->op == OpKind::kMatmul && weights.spec.shape.rank() == 2 &&
                          node->attrs.integer(Attr::kTransposeB) == 0);
    return columns && weights.kind == ValueKind::kConstant ? node : nullptr;
  }

  bool fold(const Node& node, ValueId y, ValueId scale) {
    const ValueId s = channel_constant(scale, y);
    if (s == kNoValue) return false;
    if (const Node* found = linear(y)) return replace(node, scaled(*found, s));
    const Node* sum = producer(y, OpKind::kAdd);
    if (sum == nullptr || uses_[at(y)] != 1) return false;
    for (const std::size_t i : {0u, 1u}) {
      const Node* found = linear(sum->inputs[i]);
      const ValueId b = channel_constant(sum->inputs[1 - i], y);
      if (found == nullptr || b == kNoValue) continue;
      const ValueId bias = folded(mul(rewriter_.graph(), vector_of(b), vector_of(s)));
      return replace(node, add(rewriter_.graph(), scaled(*found, s), bias));
    }
    return false;
  }

  ValueId scaled(const Node& found, ValueId s) {
    Graph& g = rewriter_.graph();
    const ValueId weights =
        folded(g.append(OpKind::kMul, {rewriter_.now(found.inputs[1]), vector_of(s)}));
    return g.append(found.op, {rewriter_.now(found.inputs[0]), weights}, found.attrs);
  }

  ValueId vector_of(ValueId old) {
    return folded(reshape(rewriter_.graph(), rewriter_.now(old),
                          Shape{rewriter_.source().shape(old).elements()}));
  }

  // What depends on constants only is computed now, so that the next rewrite finds a constant.
  ValueId folded(ValueId id) {
    std::vector<ValueId> results;
    Graph& g = rewriter_.graph();
    if (!g.status() || g.value(id).kind != ValueKind::kResult) return id;
    return fold_last_node(g, results) ? results[0] : id;
  }

  bool replace(const Node& node, ValueId value) {
    changed_ = true;
    rewriter_.map(node.outputs[0], value);
    rewriter_.keep_label(node.outputs[0]);
    return true;
  }

  Rewriter rewriter_;
  std::vector<std::size_t> uses_;
  std::vector<const Node*> producers_;  // by old value
  bool changed_ = false;
};

}  // namespace

Result<Graph> fold_scales(const Graph& graph) {
  Graph folded = graph;
  for (bool changed = true; changed;) {
    const Graph before = std::move(folded);
    ScaleFolder folder(before);
    INK_TRY(folded, folder.run());
    changed = folder.changed();
  }
  return folded;
}

}  // namespace inkling
