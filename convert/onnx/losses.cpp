// ONNX losses: log-probabilities [n, classes, ...] against class numbers [n, ...].

#include "convert/onnx/importer.h"

namespace inkling::onnx_import {

namespace {

// -weight[t] log p[t] at each place, nothing where the target is to be ignored; summed, or averaged
// over the weights that counted.
Result<ValueId> likelihood_loss(NodeReader& n, ValueId log_p) {
  INK_TRY(const ValueId given, n.tensor(1));
  const Shape shape = n.shape(log_p);
  if (shape.rank() < 2 || n.shape(given) != without(shape, 1) || !is_integer(n.dtype(given)))
    return n.corrupt("targets ", n.shape(given), " for ", shape);
  Graph& g = n.graph();
  const auto number = [&](std::int64_t value) {
    return whole_numbers(g, Shape{}, std::vector<std::int64_t>{value});
  };
  const ValueId target = cast(g, given, DType::kI64);
  ValueId counts = less_equal(g, number(0), target);
  if (n.attribute("ignore_index")) {
    const ValueId ignored = equal(g, target, number(n.integer_attribute("ignore_index", 0)));
    counts = logical_and(g, counts, logical_not(g, ignored));
  }
  std::vector<std::int64_t> column(shape.rank() - 1, 1);
  column[0] = shape[1];
  INK_TRY(const Shape classes, shape_from(column));
  const ValueId hot =
      equal(g, reshape(g, target, shape.with(1, 1)), whole_numbers(g, classes, counting(shape[1])));
  const ValueId zero = scalar_like(g, log_p, 0.0);
  const ValueId picked = sum_to(g, where(g, hot, neg(g, log_p), zero), shape.with(1, 1));
  const Shape places = n.shape(target);
  ValueId weight = scalar_like(g, log_p, 1.0);
  if (n.has(2)) {
    INK_TRY(const ValueId weights, n.floats(2));
    if (n.shape(weights) != Shape{shape[1]}) return n.corrupt("weights ", n.shape(weights));
    weight = gather(g, weights, target, 0);
  }
  weight = where(g, counts, weight, zero);
  const ValueId loss = mul(g, reshape(g, picked, places), weight);
  const std::string reduction = n.text_attribute("reduction", "mean");
  if (reduction == "none") return loss;
  if (reduction == "sum") return sum(g, loss);
  if (reduction != "mean") return n.corrupt("reduction ", reduction);
  return div(g, sum(g, loss), sum(g, weight));
}

Result<void> negative_log_likelihood_loss(NodeReader& n) {
  INK_TRY(const ValueId log_p, n.floats(0));
  INK_TRY(const ValueId loss, likelihood_loss(n, log_p));
  return n.yield(loss);
}

Result<void> softmax_cross_entropy_loss(NodeReader& n) {
  INK_TRY(const ValueId scores, n.floats(0));
  const std::size_t rank = n.shape(scores).rank();
  if (rank < 2) return n.corrupt("scores ", n.shape(scores));
  Graph& g = n.graph();
  const ValueId log_p =
      swap_axes(g, log_softmax(g, swap_axes(g, scores, 1, rank - 1)), 1, rank - 1);
  INK_TRY(const ValueId loss, likelihood_loss(n, log_p));
  INK_CHECK_OK(n.yield(1, log_p));
  return n.yield(0, loss);
}

constexpr HandlerRow kRows[] = {
    {"NegativeLogLikelihoodLoss", negative_log_likelihood_loss},
    {"SoftmaxCrossEntropyLoss", softmax_cross_entropy_loss},
};

}  // namespace

std::span<const HandlerRow> loss_handlers() { return kRows; }

}  // namespace inkling::onnx_import
