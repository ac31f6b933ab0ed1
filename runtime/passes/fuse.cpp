// Four rewrites, applied node by node in order, so that chains collapse:
//
//   op(broadcast_to(a), b)     -> op(a, b), where add, sub, mul and div repeat their operands
//   add(linear(x, w), b[c])    -> linear(x, w, b)
//   add(linear(x, w, b), r)    -> linear(x, w, b, r), r of the result's shape; not depthwise
//   clamp(linear(x, w, ...))   -> linear with bounds
//
// A reshape that keeps the channels may stand behind the linear node, and stays there. Neither may
// have another reader. What it replaces is dropped by eliminate().

#include <unordered_map>

#include "runtime/op.h"
#include "runtime/ops.h"
#include "runtime/ops/support.h"
#include "runtime/passes/passes.h"
#include "runtime/passes/rewriter.h"

namespace inkling {

namespace {

bool is_linear(OpKind op) {
  return op == OpKind::kMatmul || op == OpKind::kConv2d || op == OpKind::kDepthwiseConv2d;
}

bool repeats_operands(OpKind op) {
  return op == OpKind::kAdd || op == OpKind::kSub || op == OpKind::kMul || op == OpKind::kDiv;
}

class Fuser {
 public:
  explicit Fuser(const Graph& source)
      : rewriter_(source), uses_(count_uses(source)), repeated_(source.values().size(), kNoValue) {}

  Result<Graph> run() {
    const Graph& source = rewriter_.source();
    for (const Node& node : source.nodes()) {
      if (node.op == OpKind::kBroadcastTo) repeated_[at(node.outputs[0])] = node.inputs[0];
      const std::size_t before = rewriter_.graph().nodes().size();
      if (repeats_operands(node.op)) {
        fuse_binary(node);
      } else if (!(node.op == OpKind::kClamp && fuse_clamp(node))) {
        copy(node);
      }
      remember_producers(before);
    }
    INK_TRY(Graph fused, rewriter_.finish());
    return eliminate(fused);
  }

 private:
  static std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

  void copy(const Node& node) {
    rewriter_.copy(node);
    for (const ValueId output : node.outputs) copied_.emplace(at(rewriter_.now(output)), output);
  }

  void remember_producers(std::size_t from) {
    const auto nodes = rewriter_.graph().nodes();
    for (std::size_t i = from; i < nodes.size(); ++i) producer_[at(nodes[i].outputs[0])] = i;
  }

  // The old operand without its broadcast_to.
  ValueId bare(ValueId old) const {
    return repeated_[at(old)] == kNoValue ? old : repeated_[at(old)];
  }

  void fuse_binary(const Node& node) {
    const ValueId a = bare(node.inputs[0]), b = bare(node.inputs[1]);
    if (node.op == OpKind::kAdd && (fuse_bias(node, a, b) || fuse_bias(node, b, a) ||
                                    fuse_addend(node, a, b) || fuse_addend(node, b, a)))
      return;
    const Graph& source = rewriter_.source();
    const auto joint = ops::broadcast_shape(source.shape(a), source.shape(b));
    if (!joint || *joint != source.shape(node.outputs[0])) {
      copy(node);
      return;
    }
    replace(node,
            rewriter_.graph().append(node.op, {rewriter_.now(a), rewriter_.now(b)}, node.attrs));
  }

  void replace(const Node& node, ValueId value) {
    const Shape shape = rewriter_.source().shape(node.outputs[0]);
    if (rewriter_.graph().status() && rewriter_.graph().shape(value) != shape)
      value = reshape(rewriter_.graph(), value, shape);
    rewriter_.map(node.outputs[0], value);
    rewriter_.keep_label(node.outputs[0]);
  }

  // The linear node behind an old value that only this reader uses and that is not clamped yet;
  // else null.
  const Node* open_linear(ValueId old) {
    if (uses_[at(old)] != 1) return nullptr;
    const Graph& g = rewriter_.graph();
    const Node* node = producer(rewriter_.now(old));
    if (node && node->op == OpKind::kReshape) {
      const Shape &from = g.shape(node->inputs[0]), &to = g.shape(node->outputs[0]);
      const bool keeps_channels = from.rank() > 0 && to.rank() > 0 && from.back() == to.back();
      node =
          keeps_channels && has_one_reader(node->inputs[0]) ? producer(node->inputs[0]) : nullptr;
    }
    return node && is_linear(node->op) && !node->attrs.has(Attr::kMin) ? node : nullptr;
  }

  const Node* producer(ValueId value) {
    const auto found = producer_.find(at(value));
    return found == producer_.end() ? nullptr : &rewriter_.graph().nodes()[found->second];
  }

  // Of a value in the new graph. What was fused has the one reader that it was made for.
  bool has_one_reader(ValueId value) const {
    const auto copied = copied_.find(at(value));
    return copied == copied_.end() || uses_[at(copied->second)] == 1;
  }

  // Is v one number per channel (last axis) of the old value y?
  bool per_channel(ValueId v, ValueId y) const {
    const Shape& s = rewriter_.source().shape(v);
    const std::int64_t channels = rewriter_.source().shape(y).back();
    return s.rank() >= 1 && s.back() == channels && s.elements() == channels;
  }

  ValueId vector_of(ValueId old) {
    return reshape(rewriter_.graph(), rewriter_.now(old),
                   Shape{rewriter_.source().shape(old).elements()});
  }

  bool fuse_bias(const Node& node, ValueId y, ValueId b) {
    const Node* found = open_linear(y);
    if (!found || found->inputs.size() > 2 || !per_channel(b, y)) return false;
    const Node linear = *found;
    const ValueId bias = vector_of(b);
    replace(node, rewriter_.graph().append(linear.op, {linear.inputs[0], linear.inputs[1], bias},
                                           linear.attrs));
    return true;
  }

  bool fuse_addend(const Node& node, ValueId y, ValueId addend) {
    const Node* found = open_linear(y);
    const Graph& source = rewriter_.source();
    if (!found || found->op == OpKind::kDepthwiseConv2d || found->inputs.size() != 3 ||
        source.shape(addend) != source.shape(y))
      return false;
    const Node linear = *found;
    const Shape shape = rewriter_.graph().shape(linear.outputs[0]);
    ValueId other = rewriter_.now(addend);
    if (source.shape(addend) != shape) other = reshape(rewriter_.graph(), other, shape);
    replace(node, rewriter_.graph().append(
                      linear.op, {linear.inputs[0], linear.inputs[1], linear.inputs[2], other},
                      linear.attrs));
    return true;
  }

  bool fuse_clamp(const Node& node) {
    const Node* found = open_linear(node.inputs[0]);
    if (!found) return false;
    const Node linear = *found;
    Attrs attrs = linear.attrs;
    attrs.set(Attr::kMin, node.attrs.real(Attr::kMin, -kInfinity))
        .set(Attr::kMax, node.attrs.real(Attr::kMax, kInfinity));
    replace(node, rewriter_.graph().append(linear.op, linear.inputs, std::move(attrs)));
    return true;
  }

  Rewriter rewriter_;
  std::vector<std::size_t> uses_;
  std::vector<ValueId> repeated_;  // by old value: what its broadcast_to repeats
  std::unordered_map<std::size_t, std::size_t> producer_;  // by new value: its node
  std::unordered_map<std::size_t, ValueId>
      copied_;  // by new value: the old one of which it is a copy
};

}  // namespace

Result<Graph> fuse(const Graph& graph) { return Fuser(graph).run(); }

}  // namespace inkling
