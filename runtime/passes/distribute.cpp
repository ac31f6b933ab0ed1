// concat(p1, ..., pk) W = p1 W1 + ... + pk Wk, where that saves multiplications: a part that
// repeats a smaller value is multiplied before it is repeated, and so are the two sides of a sum or
// a difference of smaller values. What attention by a small network over (past, candidate,
// difference, product) costs is then little more than its product (Zhou et al., Deep Interest
// Network, KDD 2018).
//
// Of the parts that are not smaller one concatenation is left. The weights are constant, so what
// becomes of them is computed by fold_constants().

#include <map>

#include "runtime/ops.h"
#include "runtime/passes/passes.h"
#include "runtime/passes/rewriter.h"

namespace inkling {

namespace {

// A value, of a shape that repeats to the concatenation's, and the weights it is multiplied with.
struct Term {
  ValueId value;    // in the old graph
  ValueId weights;  // in the new graph, [k, n]
};

class Distributor {
 public:
  explicit Distributor(const Graph& source)
      : rewriter_(source), source_(source), uses_(count_uses(source)) {
    for (const Node& node : source.nodes()) {
      for (const ValueId output : node.outputs) producer_[output] = &node;
    }
  }

  Result<Graph> run() {
    for (const Node& node : source_.nodes()) {
      if (node.op != OpKind::kMatmul || !distribute(node)) rewriter_.copy(node);
    }
    INK_TRY(const Graph distributed, rewriter_.finish());
    return eliminate(distributed);
  }

 private:
  // The node that makes a value that nobody else reads; else null.
  const Node* sole_producer(ValueId value) const {
    const auto found = producer_.find(value);
    return found != producer_.end() && uses_[static_cast<std::size_t>(value)] == 1 ? found->second
                                                                                   : nullptr;
  }

  // The concatenation along the last axis behind a matmul, itself or behind a reshape; else null.
  const Node* concatenation(const Node& matmul) const {
    if (matmul.inputs.size() != 2 || matmul.attrs.integer(Attr::kTransposeA) != 0 ||
        matmul.attrs.integer(Attr::kTransposeB) != 0 ||
        source_.value(matmul.inputs[1]).kind != ValueKind::kConstant ||
        source_.shape(matmul.inputs[1]).rank() != 2)
      return nullptr;
    const Node* node = sole_producer(matmul.inputs[0]);
    if (node && node->op == OpKind::kReshape) {
      const Shape &from = source_.shape(node->inputs[0]), &to = source_.shape(node->outputs[0]);
      if (from.rank() == 0 || from.back() != to.back()) return nullptr;
      node = sole_producer(node->inputs[0]);
    }
    if (!node || node->op != OpKind::kConcat) return nullptr;
    const Shape& whole = source_.shape(node->outputs[0]);
    const bool last =
        node->attrs.integer(Attr::kAxis) + 1 == static_cast<std::int64_t>(whole.rank());
    return last && whole.rank() >= 2 ? node : nullptr;
  }

  // What a value repeats, or itself.
  ValueId bare(ValueId value) const {
    const auto found = producer_.find(value);
    const bool repeats = found != producer_.end() && found->second->op == OpKind::kBroadcastTo;
    const ValueId inner = repeats ? found->second->inputs[0] : value;
    return source_.shape(inner).rank() == source_.shape(value).rank() &&
                   source_.shape(inner).back() == source_.shape(value).back()
               ? inner
               : value;
  }

  bool is_smaller(ValueId value, const Shape& than) const {
    return source_.shape(value).elements() * 2 <= than.elements();
  }

  void add_term(ValueId value, ValueId weights) {
    for (Term& term : terms_) {
      if (term.value != value) continue;
      term.weights = add(rewriter_.graph(), term.weights, weights);
      return;
    }
    terms_.push_back({value, weights});
  }

  void add_part(ValueId part, ValueId weights) {
    const Shape& shape = source_.shape(part);
    const auto found = producer_.find(part);
    if (found != producer_.end() &&
        (found->second->op == OpKind::kAdd || found->second->op == OpKind::kSub)) {
      const Node& node = *found->second;
      const ValueId a = bare(node.inputs[0]), b = bare(node.inputs[1]);
      if (is_smaller(a, shape) && is_smaller(b, shape)) {
        add_term(a, weights);
        add_term(b, node.op == OpKind::kSub ? neg(rewriter_.graph(), weights) : weights);
        return;
      }
    }
    add_term(bare(part), weights);
  }

  // value W, of the value's leading axes.
  ValueId product(ValueId value, ValueId weights) {
    Graph& g = rewriter_.graph();
    const Shape shape = g.shape(value);
    const std::int64_t k = shape.back(), n = g.shape(weights)[1];
    const ValueId y = matmul(g, reshape(g, value, {shape.elements() / k, k}), weights);
    return reshape(g, y, shape.with(shape.rank() - 1, n));
  }

  bool distribute(const Node& node) {
    const Node* concat_node = concatenation(node);
    if (!concat_node || source_.shape(concat_node->outputs[0]).elements() == 0) return false;
    const Shape whole = source_.shape(concat_node->outputs[0]);
    Graph& g = rewriter_.graph();
    const ValueId weights = rewriter_.now(node.inputs[1]);
    const std::int64_t n = g.shape(weights)[1];
    terms_.clear();
    std::int64_t row = 0;
    for (const ValueId part : concat_node->inputs) {
      const std::int64_t k = source_.shape(part).back();
      add_part(part, slice(g, weights, {row, 0}, {k, n}));
      row += k;
    }
    const auto is_small = [&](const Term& term) {
      return is_smaller(term.value, whole.with(whole.rank() - 1, source_.shape(term.value).back()));
    };
    if (std::none_of(terms_.begin(), terms_.end(), is_small)) return false;

    std::vector<ValueId> large, large_weights;
    for (const Term& term : terms_) {
      if (is_small(term)) continue;
      large.push_back(rewriter_.now(term.value));
      large_weights.push_back(term.weights);
    }
    const Shape result = whole.with(whole.rank() - 1, n);
    ValueId y = kNoValue;
    if (!large.empty()) {
      y = product(concat(g, large, static_cast<std::int64_t>(whole.rank()) - 1),
                  concat(g, large_weights, 0));
    }
    for (const Term& term : terms_) {
      if (!is_small(term)) continue;
      const ValueId small =
          broadcast_to(g, product(rewriter_.now(term.value), term.weights), result);
      y = y == kNoValue ? small : add(g, y, small);
    }
    rewriter_.map(node.outputs[0], reshape(g, y, source_.shape(node.outputs[0])));
    rewriter_.keep_label(node.outputs[0]);
    return true;
  }

  Rewriter rewriter_;
  const Graph& source_;
  std::vector<std::size_t> uses_;
  std::map<ValueId, const Node*> producer_;  // by old value
  std::vector<Term> terms_;
};

}  // namespace

Result<Graph> distribute(const Graph& graph) { return Distributor(graph).run(); }

}  // namespace inkling
