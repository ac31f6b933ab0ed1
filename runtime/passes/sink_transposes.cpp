// Each old value is carried as (v, p): a new value and a permutation still owed, old = transpose(v,
// p). A transpose only changes what is owed; an op that can work in another axis order works on v
// and passes the debt on; any other op has it paid first. Debts that compose to the identity
// vanish, which is the whole point.

#include <algorithm>
#include <numeric>

#include "runtime/op.h"
#include "runtime/ops.h"
#include "runtime/passes/passes.h"
#include "runtime/passes/rewriter.h"

namespace inkling {

namespace {

using Permutation = std::vector<std::int64_t>;  // empty: the identity

std::size_t index(std::int64_t axis) { return static_cast<std::size_t>(axis); }

// transpose(transpose(x, p), q) = transpose(x, compose(p, q))
Permutation compose(const Permutation& p, const Permutation& q) {
  Permutation r = q;
  if (p.empty()) return q;
  if (q.empty()) return p;
  for (std::size_t i = 0; i < q.size(); ++i) r[i] = p[index(q[i])];
  for (std::size_t i = 0; i < r.size(); ++i) {
    if (r[i] != static_cast<std::int64_t>(i)) return r;
  }
  return {};
}

Permutation inverse(const Permutation& p) {
  Permutation r(p.size());
  for (std::size_t i = 0; i < p.size(); ++i) r[index(p[i])] = static_cast<std::int64_t>(i);
  return r;
}

// What has one entry per axis of the old value, in the axis order of v.
std::vector<std::int64_t> unpermuted(std::span<const std::int64_t> entries, const Permutation& p) {
  std::vector<std::int64_t> out(entries.begin(), entries.end());
  for (std::size_t i = 0; i < p.size(); ++i) out[index(p[i])] = entries[i];
  return out;
}

class Sinker {
 public:
  explicit Sinker(const Graph& source)
      : rewriter_(source), owed_(source.values().size()), producer_(source.values().size()) {
    for (const Node& node : source.nodes()) {
      for (const ValueId id : node.outputs) producer_[static_cast<std::size_t>(id)] = &node;
    }
  }

  Result<Graph> run() {
    for (const Node& node : rewriter_.source().nodes()) {
      if (!sink(node)) pay_and_copy(node);
    }
    for (const NamedValue& output : rewriter_.source().outputs()) pay(output.value);
    for (const Update& update : rewriter_.source().updates()) pay(update.value);
    INK_TRY(Graph sunk, rewriter_.finish());
    return eliminate(sunk);
  }

 private:
  Permutation& owed(ValueId old) { return owed_[static_cast<std::size_t>(old)]; }
  const Shape& shape(ValueId old) const { return rewriter_.source().shape(old); }

  void pay(ValueId old) {
    if (owed(old).empty()) return;
    rewriter_.map(old, permuted(rewriter_.now(old), owed(old)));
    rewriter_.keep_label(old);
    owed(old).clear();
  }

  // A transpose that moves only axes of size 1 is a reshape.
  ValueId permuted(ValueId value, const Permutation& p) {
    if (p.empty()) return value;
    Graph& g = rewriter_.graph();
    if (!g.status()) return kNoValue;
    const Shape from = g.shape(value);
    Permutation moving;
    for (const std::int64_t axis : p) {
      if (from[index(axis)] != 1) moving.push_back(axis);
    }
    if (!std::is_sorted(moving.begin(), moving.end())) return transpose(g, value, p);
    Shape to = from;
    for (std::size_t i = 0; i < p.size(); ++i) to = to.with(i, from[index(p[i])]);
    return reshape(g, value, to);
  }

  // The old value in the axis order of a value that owes p.
  ValueId in_order(ValueId old, const Permutation& p) {
    const Node* source = producer_[static_cast<std::size_t>(old)];
    const bool repeats = source && source->op == OpKind::kBroadcastTo && owed(old).empty() &&
                         owed(source->inputs[0]).empty() &&
                         rewriter_.now(source->inputs[0]) != kNoValue;
    if (!repeats) return permuted(rewriter_.now(old), compose(owed(old), inverse(p)));
    // Turn what is repeated, not the repetition.
    Graph& g = rewriter_.graph();
    const Shape& small = shape(source->inputs[0]);
    std::vector<std::int64_t> dims(p.size() - small.rank(), 1);
    dims.insert(dims.end(), small.dims().begin(), small.dims().end());
    const ValueId turned =
        permuted(reshape(g, rewriter_.now(source->inputs[0]), *Shape::from(dims)), inverse(p));
    return broadcast_to(g, turned, *Shape::from(unpermuted(shape(old).dims(), p)));
  }

  bool sink(const Node& node) {
    switch (node.op) {
      case OpKind::kTranspose: {
        const ValueId x = node.inputs[0];
        // Kept exact, not composed with the debt of x, since x itself may still be paid for other
        // readers.
        rewriter_.map(node.outputs[0], rewriter_.now(x));
        owed(node.outputs[0]) = compose(owed(x), node.attrs.integers(Attr::kPermutation));
        if (is_identity(owed(node.outputs[0]))) owed(node.outputs[0]).clear();
        return true;
      }
      case OpKind::kBroadcastTo:
      case OpKind::kSumTo:
        if (shape(node.inputs[0]).rank() != shape(node.outputs[0]).rank()) return false;
        return sink_with(node, {Attr::kShape});
      case OpKind::kSlice:
        return sink_with(node, {Attr::kStarts, Attr::kSizes});
      case OpKind::kPad:
        return sink_with(node, {Attr::kBefore, Attr::kAfter});
      case OpKind::kConcat:
        return sink_with(node, {});
      case OpKind::kReshape:
      case OpKind::kSgdStep:
      case OpKind::kAdamStep:
      case OpKind::kAdagradStep:
      case OpKind::kRmspropStep:
      case OpKind::kFtrlStep:
        return false;
      default:
        return op_def(node.op).elementwise && sink_with(node, {});
    }
  }

  static bool is_identity(const Permutation& p) {
    for (std::size_t i = 0; i < p.size(); ++i) {
      if (p[i] != static_cast<std::int64_t>(i)) return false;
    }
    return true;
  }

  // Appends the node in the axis order of the first input that owes something, its per-axis
  // attributes turned.
  bool sink_with(const Node& node, std::initializer_list<Attr> per_axis) {
    const auto first = std::find_if(node.inputs.begin(), node.inputs.end(),
                                    [&](ValueId id) { return !owed(id).empty(); });
    if (first == node.inputs.end()) return false;
    const Permutation p = owed(*first);
    for (const ValueId id : node.inputs) {
      if (shape(id).rank() != p.size()) return false;
    }
    std::vector<ValueId> inputs;
    for (const ValueId id : node.inputs)
      inputs.push_back(owed(id) == p ? rewriter_.now(id) : in_order(id, p));
    Attrs attrs = node.attrs;
    for (const Attr attr : per_axis) attrs.set(attr, unpermuted(node.attrs.integers(attr), p));
    if (node.op == OpKind::kConcat)
      attrs.set(Attr::kAxis, p[index(node.attrs.integer(Attr::kAxis))]);
    rewriter_.map(node.outputs[0], rewriter_.graph().append(node.op, inputs, std::move(attrs)));
    rewriter_.keep_label(node.outputs[0]);
    owed(node.outputs[0]) = p;
    return true;
  }

  void pay_and_copy(const Node& node) {
    for (const ValueId id : node.inputs) pay(id);
    rewriter_.copy(node);
  }

  Rewriter rewriter_;
  std::vector<Permutation> owed_;
  std::vector<const Node*> producer_;
};

}  // namespace

Result<Graph> sink_transposes(const Graph& graph) { return Sinker(graph).run(); }

}  // namespace inkling
