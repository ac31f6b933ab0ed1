// ONNX normalisations: means and variances in the vocabulary.

#include <algorithm>

#include "convert/onnx/products.h"

namespace inkling::onnx_import {

namespace {

struct Moments {
  ValueId mean, variance;  // along the axes, which they keep at size 1
};

Moments moments_of(Graph& g, ValueId x, std::span<const std::int64_t> axes) {
  const ValueId mean = mean_axes(g, x, axes);
  const ValueId centred = sub(g, x, mean);
  return {mean, mean_axes(g, mul(g, centred, centred), axes)};
}

ValueId inverse_deviation(Graph& g, ValueId variance, double epsilon) {
  return div(g, scalar_like(g, variance, 1.0), sqrt(g, shift(g, variance, epsilon)));
}

// (x - mean) / sqrt(variance + epsilon) * scale + shift, as one scale and one shift a channel. In
// training the statistics are those of the batch, and the running ones move towards them.
Result<void> batch_normalization(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  const Shape shape = n.shape(x);
  if (shape.rank() < 2) return n.unsupported("an input ", shape, ": expected a channel axis");
  Graph& g = n.graph();
  std::array<ValueId, 4> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    INK_TRY(const ValueId part, n.floats(i + 1));
    if (n.shape(part) != Shape{shape[1]})
      return n.corrupt("input ", i + 1, " is ", n.shape(part), ", expected ", shape[1],
                       " channels");
    parts[i] = cast(g, part, n.dtype(x));
  }
  auto [gain, offset, mean, variance] = parts;
  if ((n.opset() < 7 && !n.flag("is_test")) || !n.flag("spatial", true))
    return n.unsupported("training before opset 14, or statistics of every activation");
  if (n.flag("training_mode")) {
    std::vector<std::int64_t> axes = counting(static_cast<std::int64_t>(shape.rank()));
    axes.erase(axes.begin() + 1);
    const Moments batch = moments_of(g, x, axes);
    const double momentum = n.real_attribute("momentum", 0.9f);
    const auto running = [&](ValueId old, ValueId now) {
      return add(g, scale(g, old, momentum), scale(g, now, 1.0 - momentum));
    };
    const ValueId batch_mean = reshape(g, batch.mean, {shape[1]});
    const ValueId batch_variance = reshape(g, batch.variance, {shape[1]});
    INK_CHECK_OK(n.yield(1, running(mean, batch_mean)));
    INK_CHECK_OK(n.yield(2, running(variance, batch_variance)));
    mean = batch_mean;
    variance = batch_variance;
  }
  const ValueId deviation = sqrt(g, shift(g, variance, n.real_attribute("epsilon", 1e-5f)));
  const ValueId scales = div(g, gain, deviation);
  const ValueId shifts = sub(g, offset, mul(g, mean, scales));
  INK_TRY(const ValueId by, per_channel(n, scales, shape.rank()));
  INK_TRY(const ValueId to, per_channel(n, shifts, shape.rank()));
  return n.yield(0, add(g, mul(g, x, by), to));
}

Result<void> layer_normalization(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  INK_TRY(const ValueId gain, n.floats(1));
  const Shape shape = n.shape(x);
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", -1), shape.rank()));
  std::vector<std::int64_t> axes;
  for (std::size_t i = axis; i < shape.rank(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  Graph& g = n.graph();
  const Moments m = moments_of(g, x, axes);
  const ValueId inverse = inverse_deviation(g, m.variance, n.real_attribute("epsilon", 1e-5f));
  ValueId y = mul(g, mul(g, sub(g, x, m.mean), inverse), gain);
  if (n.has(2)) {
    INK_TRY(const ValueId offset, n.floats(2));
    y = add(g, y, offset);
  }
  INK_CHECK_OK(n.yield(1, m.mean));
  INK_CHECK_OK(n.yield(2, inverse));
  return n.yield(0, y);
}

// Each channel of each image by itself.
Result<void> instance_normalization(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  INK_TRY(const ValueId gain, n.floats(1));
  INK_TRY(const ValueId offset, n.floats(2));
  const Shape shape = n.shape(x);
  if (shape.rank() < 3) return n.unsupported("an input ", shape);
  auto axes = counting(static_cast<std::int64_t>(shape.rank()));
  axes.erase(axes.begin(), axes.begin() + 2);
  Graph& g = n.graph();
  const Moments m = moments_of(g, x, axes);
  const ValueId inverse = inverse_deviation(g, m.variance, n.real_attribute("epsilon", 1e-5f));
  INK_TRY(const ValueId by, per_channel(n, gain, shape.rank()));
  INK_TRY(const ValueId to, per_channel(n, offset, shape.rank()));
  return n.yield(add(g, mul(g, mul(g, sub(g, x, m.mean), inverse), by), to));
}

Result<void> mean_variance_normalization(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  std::vector<std::int64_t> axes = {0, 2, 3};
  if (n.attribute("axes")) {
    INK_TRY(axes, n.axes(n.input_count(), n.shape(x).rank()));
  }
  Graph& g = n.graph();
  const Moments m = moments_of(g, x, axes);
  // The definition adds 1e-9 to the deviation, not to the variance.
  return n.yield(div(g, sub(g, x, m.mean), shift(g, sqrt(g, m.variance), 1e-9)));
}

// x / (bias + alpha / size * sum of squares of `size` channels around)^beta
Result<void> local_response_normalization(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  const Shape shape = n.shape(x);
  const std::int64_t size = n.integer_attribute("size", 0);
  if (shape.rank() < 2 || size < 1 || size > 1024)
    return n.unsupported("a window of ", size, " channels of ", shape);
  Graph& g = n.graph();
  std::vector<std::int64_t> before(shape.rank(), 0), after(shape.rank(), 0);
  before[1] = (size - 1) / 2;
  after[1] = size - 1 - before[1];
  const ValueId squares = pad(g, mul(g, x, x), before, after);
  ValueId total = every(g, squares, 1, 0, 1, shape[1]);
  for (std::int64_t i = 1; i < size; ++i)
    total = add(g, total, every(g, squares, 1, i, 1, shape[1]));
  const double alpha = n.real_attribute("alpha", 1e-4f) / static_cast<double>(size);
  const ValueId base = shift(g, scale(g, total, alpha), n.real_attribute("bias", 1.0));
  return n.yield(div(g, x, pow(g, base, scalar_like(g, x, n.real_attribute("beta", 0.75)))));
}

constexpr HandlerRow kRows[] = {
    {"BatchNormalization", batch_normalization},
    {"InstanceNormalization", instance_normalization},
    {"LRN", local_response_normalization},
    {"LayerNormalization", layer_normalization},
    {"MeanVarianceNormalization", mean_variance_normalization},
};

}  // namespace

std::span<const HandlerRow> normalization_handlers() { return kRows; }

}  // namespace inkling::onnx_import
