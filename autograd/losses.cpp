#include "autograd/losses.h"

#include <vector>

#include "runtime/ops.h"

namespace inkling {

namespace {

// Latches unless the two have one shape, which has `rank` axes (0: any number).
bool alike(Graph& g, const char* loss, ValueId a, ValueId b, std::size_t rank = 0) {
  if (!g.status()) return false;
  if (g.shape(a) == g.shape(b) && (rank == 0 || g.shape(a).rank() == rank)) return true;
  g.latch({ErrorCode::kInvalidArgument,
           concat(loss, ": ", g.shape(a), " with ", g.shape(b), ": expected ",
                  rank == 2 ? "[rows, columns] for both" : "one shape")});
  return false;
}

bool positive(Graph& g, const char* loss, const char* what, double value) {
  if (value > 0) return true;
  g.latch({ErrorCode::kInvalidArgument,
           concat(loss, ": ", what, " ", value, ", expected more than zero")});
  return false;
}

// log sigmoid(x) and log sigmoid(-x) as the columns of [elements, 2]. By softmax, not by log(1 +
// exp(-x)): no x overflows, and the derivative is right at zero too, where |x| has none.
ValueId log_sigmoids(Graph& g, ValueId x) {
  const Shape column{g.shape(x).elements(), 1};
  const ValueId zeros = g.constant(Tensor::zeros({g.spec(x).dtype, column}));
  const std::vector<ValueId> logits = {reshape(g, x, column), zeros};
  return log_softmax(g, concat(g, logits, 1));
}

// log sigmoid(x), [elements, 1].
ValueId log_sigmoid(Graph& g, ValueId x) {
  return slice(g, log_sigmoids(g, x), {0, 0}, {g.shape(x).elements(), 1});
}

ValueId row_lengths_squared(Graph& g, ValueId x) {
  return sum_to(g, mul(g, x, x), Shape{g.shape(x)[0], 1});
}

}  // namespace

ValueId softmax_cross_entropy(Graph& g, ValueId logits, ValueId targets) {
  if (!alike(g, "softmax_cross_entropy", logits, targets, 2)) return kNoValue;
  const auto rows = static_cast<double>(g.shape(logits)[0]);
  return scale(g, sum(g, mul(g, targets, log_softmax(g, logits))), -1.0 / rows);
}

ValueId sigmoid_cross_entropy(Graph& g, ValueId logits, ValueId targets, double smoothing) {
  if (!alike(g, "sigmoid_cross_entropy", logits, targets)) return kNoValue;
  const Shape column{g.shape(logits).elements(), 1};
  const ValueId yes = shift(g, scale(g, reshape(g, targets, column), 1 - smoothing), smoothing / 2);
  const std::vector<ValueId> shares = {yes, shift(g, neg(g, yes), 1)};
  const ValueId agreement = mul(g, concat(g, shares, 1), log_sigmoids(g, logits));
  return scale(g, sum(g, agreement), -1.0 / static_cast<double>(column[0]));
}

ValueId distillation(Graph& g, ValueId student, ValueId teacher, ValueId targets,
                     double temperature, double mix) {
  if (!alike(g, "distillation", student, teacher, 2) ||
      !alike(g, "distillation", student, targets, 2) ||
      !positive(g, "distillation", "temperature", temperature))
    return kNoValue;
  const ValueId softened = softmax(g, scale(g, teacher, 1 / temperature));
  const ValueId soft = softmax_cross_entropy(g, scale(g, student, 1 / temperature), softened);
  return add(g, scale(g, soft, mix * temperature * temperature),
             scale(g, softmax_cross_entropy(g, student, targets), 1 - mix));
}

ValueId mean_squared_error(Graph& g, ValueId x, ValueId y) {
  if (!alike(g, "mean_squared_error", x, y)) return kNoValue;
  const ValueId difference = sub(g, x, y);
  return mean(g, mul(g, difference, difference));
}

ValueId mean_absolute_error(Graph& g, ValueId x, ValueId y) {
  if (!alike(g, "mean_absolute_error", x, y)) return kNoValue;
  return mean(g, abs(g, sub(g, x, y)));
}

// c (d - c / 2) with c = d within +-delta.
ValueId huber(Graph& g, ValueId x, ValueId y, double delta) {
  if (!alike(g, "huber", x, y) || !positive(g, "huber", "delta", delta)) return kNoValue;
  const ValueId difference = sub(g, x, y);
  const ValueId within = clamp(g, difference, -delta, delta);
  return mean(g, mul(g, within, sub(g, difference, scale(g, within, 0.5))));
}

ValueId pairwise_ranking(Graph& g, ValueId better, ValueId worse) {
  if (!alike(g, "pairwise_ranking", better, worse)) return kNoValue;
  return neg(g, mean(g, log_sigmoid(g, sub(g, better, worse))));
}

ValueId ranknet(Graph& g, ValueId scores, ValueId relevance) {
  if (!alike(g, "ranknet", scores, relevance, 2)) return kNoValue;
  const std::int64_t slates = g.shape(scores)[0], items = g.shape(scores)[1];
  const Shape rows{slates, items, 1}, columns{slates, 1, items};
  const ValueId told_apart = less(g, reshape(g, relevance, columns), reshape(g, relevance, rows));
  const ValueId counts = cast(g, told_apart, g.spec(scores).dtype);
  const ValueId differences = sub(g, reshape(g, scores, rows), reshape(g, scores, columns));
  const ValueId logs = reshape(g, log_sigmoid(g, differences), Shape{slates, items, items});
  const ValueId pairs = maximum(g, sum(g, counts), scalar_like(g, scores, 1));
  return neg(g, div(g, sum(g, mul(g, counts, logs)), pairs));
}

ValueId listnet(Graph& g, ValueId scores, ValueId relevance) {
  if (!alike(g, "listnet", scores, relevance, 2)) return kNoValue;
  return softmax_cross_entropy(g, scores, softmax(g, relevance));
}

ValueId triplet(Graph& g, ValueId anchor, ValueId positive_row, ValueId negative, double margin) {
  if (!alike(g, "triplet", anchor, positive_row, 2) || !alike(g, "triplet", anchor, negative, 2))
    return kNoValue;
  const ValueId near = row_lengths_squared(g, sub(g, anchor, positive_row));
  const ValueId far = row_lengths_squared(g, sub(g, anchor, negative));
  return mean(g, relu(g, shift(g, sub(g, near, far), margin)));
}

ValueId info_nce(Graph& g, ValueId queries, ValueId keys, double temperature) {
  if (!alike(g, "info_nce", queries, keys, 2) ||
      !positive(g, "info_nce", "temperature", temperature))
    return kNoValue;
  const ValueId logits = scale(g, matmul(g, queries, keys, false, true), 1 / temperature);
  const std::int64_t rows = g.shape(queries)[0];
  Tensor own = Tensor::zeros({DType::kF32, Shape{rows, rows}});
  for (std::int64_t i = 0; i < rows; ++i)
    own.mutable_data<float>()[static_cast<std::size_t>(i * (rows + 1))] = 1;
  const ValueId targets = cast(g, g.constant(std::move(own)), g.spec(queries).dtype);
  return softmax_cross_entropy(g, logits, targets);
}

ValueId unit_rows(Graph& g, ValueId x) {
  if (!alike(g, "unit_rows", x, x, 2)) return kNoValue;
  return div(g, x, sqrt(g, shift(g, row_lengths_squared(g, x), 1e-12)));
}

ValueId squared_distance(Graph& g, ValueId x, ValueId towards) {
  const ValueId difference = sub(g, x, towards);
  return sum(g, mul(g, difference, difference));
}

}  // namespace inkling
