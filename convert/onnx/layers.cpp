// Convolutions, products, pooling, normalisation, softmax. Images are [n, c, h, w] in ONNX and
// channels-last here: a layer turns its input and turns its result back, and the transposes cancel
// when the model is tidied.

#include <algorithm>
#include <cmath>

#include "convert/onnx/importer.h"

namespace inkling::onnx_import {

namespace {

ValueId to_channels_last(Graph& g, ValueId x) { return transpose(g, x, {0, 2, 3, 1}); }
ValueId to_channels_first(Graph& g, ValueId x) { return transpose(g, x, {0, 3, 1, 2}); }

std::array<std::int64_t, 2> pair_of(const std::vector<std::int64_t>& values,
                                    std::int64_t fallback) {
  return values.size() == 2 ? std::array<std::int64_t, 2>{values[0], values[1]}
                            : std::array<std::int64_t, 2>{fallback, fallback};
}

// The window of a Conv or Pool node over an image [n, c, h, w].
Result<Window> window_of(NodeReader& n, const Shape& x, std::array<std::int64_t, 2> kernel) {
  if (x.rank() != 4)
    return n.unsupported("an input of rank ", x.rank(), ", expected images [n, c, h, w]");
  Window window;
  window.strides = pair_of(n.integers_attribute("strides"), 1);
  window.dilations = pair_of(n.integers_attribute("dilations"), 1);
  const auto pads = n.integers_attribute("pads");
  if (pads.size() == 4) window.pads = {pads[0], pads[1], pads[2], pads[3]};
  if (window.strides[0] < 1 || window.strides[1] < 1) return n.corrupt("a stride below 1");
  const std::string automatic = n.text_attribute("auto_pad", "NOTSET");
  for (std::size_t d = 0; d < 2; ++d) {
    const std::int64_t size = x[2 + d], reach = (kernel[d] - 1) * window.dilations[d] + 1;
    std::int64_t& before = window.pads[d];
    std::int64_t& after = window.pads[2 + d];
    if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
      const std::int64_t out = (size + window.strides[d] - 1) / window.strides[d];
      const std::int64_t total =
          std::max<std::int64_t>((out - 1) * window.strides[d] + reach - size, 0);
      before = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      after = total - before;
    }
    if (n.integer_attribute("ceil_mode", 0) != 0) {
      // Rounding up is one more window, where it begins inside the image or its front padding.
      const std::int64_t room = size + before + after - reach;
      const std::int64_t rest = room < 0 ? 0 : room % window.strides[d];
      const std::int64_t last_start = room - rest + window.strides[d];
      if (rest != 0 && last_start < size + before) after += window.strides[d] - rest;
    }
  }
  return window;
}

Result<void> conv(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  INK_TRY(const ValueId w, n.tensor(1));
  const Shape image = n.shape(x), weights = n.shape(w);
  if (weights.rank() != 4)
    return n.unsupported("weights of rank ", weights.rank(), ", expected 2-D convolution");
  INK_TRY(const Window window, window_of(n, image, {weights[2], weights[3]}));
  const std::int64_t groups = n.integer_attribute("group", 1);
  if (groups < 1 || weights[0] % groups != 0 || image[1] != weights[1] * groups) {
    return n.corrupt("images ", image, " with weights ", weights, " in ", groups, " groups");
  }
  Graph& g = n.graph();
  const ValueId channels_last = to_channels_last(g, x);
  ValueId y;
  if (groups == 1) {
    y = conv2d(g, channels_last, transpose(g, w, {2, 3, 1, 0}), window);
  } else if (weights[1] == 1 && weights[0] == groups) {
    const ValueId taps =
        reshape(g, transpose(g, w, {2, 3, 1, 0}), {weights[2], weights[3], groups});
    y = depthwise_conv2d(g, channels_last, taps, window);
  } else {
    std::vector<ValueId> parts;
    const std::int64_t in = weights[1], out = weights[0] / groups;
    for (std::int64_t i = 0; i < groups; ++i) {
      const ValueId part =
          slice(g, channels_last, {0, 0, 0, i * in}, {image[0], image[2], image[3], in});
      const ValueId own = slice(g, w, {i * out, 0, 0, 0}, {out, in, weights[2], weights[3]});
      parts.push_back(conv2d(g, part, transpose(g, own, {2, 3, 1, 0}), window));
    }
    y = concat(g, parts, 3);
  }
  if (n.has(2)) {
    INK_TRY(const ValueId bias, n.tensor(2));
    y = add(g, y, bias);
  }
  return n.yield(to_channels_first(g, y));
}

// y = (x - mean) / sqrt(variance + epsilon) * scale + shift, with recorded statistics, as one scale
// and one shift.
Result<void> batch_normalization(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  std::array<std::vector<float>, 4> parts;
  const Shape shape = n.shape(x);
  if (shape.rank() < 2) return n.corrupt("an input ", shape, ": expected a channel axis");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    INK_TRY(const Tensor* part, n.constant(i + 1));
    if (part->shape() != Shape{shape[1]})
      return n.corrupt("input ", i + 1, " is ", part->spec(), ", expected ", shape[1], " channels");
    parts[i].assign(part->data<float>().begin(), part->data<float>().end());
  }
  if (n.integer_attribute("training_mode", 0) != 0) return n.unsupported("training mode");
  const auto& [gain, offset, mean, variance] = parts;
  const double epsilon = n.real_attribute("epsilon", 1e-5f);
  std::vector<float> scales, shifts;
  for (std::size_t c = 0; c < gain.size(); ++c) {
    const double scale =
        static_cast<double>(gain[c]) / std::sqrt(static_cast<double>(variance[c]) + epsilon);
    scales.push_back(static_cast<float>(scale));
    shifts.push_back(
        static_cast<float>(static_cast<double>(offset[c]) - static_cast<double>(mean[c]) * scale));
  }
  std::vector<std::int64_t> dims(shape.rank() - 1, 1);
  dims[0] = shape[1];
  INK_TRY(const Shape per_channel, shape_from(dims));
  Graph& g = n.graph();
  const ValueId scaled = mul(g, x, g.constant(Tensor::from<float>(per_channel, scales)));
  return n.yield(add(g, scaled, g.constant(Tensor::from<float>(per_channel, shifts))));
}

template <bool kMax>
Result<void> pool(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const auto kernel = n.integers_attribute("kernel_shape");
  if (kernel.size() != 2) return n.unsupported("a kernel of ", kernel.size(), " axes, expected 2");
  const std::array<std::int64_t, 2> size = {kernel[0], kernel[1]};
  INK_TRY(const Window window, window_of(n, n.shape(x), size));
  const bool count_padding = n.integer_attribute("count_include_pad", 0) != 0;
  if (!kMax && count_padding && n.integer_attribute("ceil_mode", 0) != 0)
    return n.unsupported("ceil_mode that counts padding");
  Graph& g = n.graph();
  const ValueId image = to_channels_last(g, x);
  const ValueId y =
      kMax ? max_pool(g, image, size, window) : avg_pool(g, image, size, window, count_padding);
  return n.yield(to_channels_first(g, y));
}

Result<void> global_average_pool(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  std::vector<std::int64_t> axes;
  for (std::size_t i = 2; i < n.shape(x).rank(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  return n.yield(mean_axes(n.graph(), x, axes));
}

// Brings both operands to one rank with equal leading sizes. A matrix on the right serves every
// leading index at once.
Result<void> mat_mul(NodeReader& n) {
  INK_TRY(ValueId a, n.tensor(0));
  INK_TRY(ValueId b, n.tensor(1));
  const Shape left = n.shape(a), right = n.shape(b);
  if (left.rank() < 2 || right.rank() < 2)
    return n.unsupported(left, " times ", right, ": a vector operand");
  Graph& g = n.graph();
  if (right.rank() == 2) {
    if (left.elements() == 0 || left.back() == 0) return n.unsupported("an empty operand");
    const std::int64_t rows = left.elements() / left.back();
    const ValueId y = matmul(g, reshape(g, a, {rows, left.back()}), b);
    return n.yield(reshape(g, y, left.with(left.rank() - 1, right[1])));
  }
  const std::size_t rank = std::max(left.rank(), right.rank());
  std::vector<std::int64_t> a_dims(rank, 1), b_dims(rank, 1);
  std::copy(left.dims().begin(), left.dims().end(),
            a_dims.end() - static_cast<std::ptrdiff_t>(left.rank()));
  std::copy(right.dims().begin(), right.dims().end(),
            b_dims.end() - static_cast<std::ptrdiff_t>(right.rank()));
  INK_TRY(const Shape a_shape, shape_from(a_dims));
  INK_TRY(const Shape b_shape, shape_from(b_dims));
  a = reshape(g, a, a_shape);
  b = reshape(g, b, b_shape);
  for (std::size_t i = 0; i + 2 < rank; ++i) {
    if (a_dims[i] != b_dims[i] && a_dims[i] != 1 && b_dims[i] != 1)
      return n.corrupt(left, " times ", right, ": leading sizes differ");
    a_dims[i] = b_dims[i] = a_dims[i] == 1 ? b_dims[i] : a_dims[i];
  }
  INK_TRY(const Shape a_full, shape_from(a_dims));
  INK_TRY(const Shape b_full, shape_from(b_dims));
  return n.yield(matmul(g, broadcast_to(g, a, a_full), broadcast_to(g, b, b_full)));
}

// alpha op(A) op(B) + beta C
Result<void> gemm(NodeReader& n) {
  INK_TRY(const ValueId a, n.tensor(0));
  INK_TRY(const ValueId b, n.tensor(1));
  Graph& g = n.graph();
  const double alpha = n.real_attribute("alpha", 1.0), beta = n.real_attribute("beta", 1.0);
  ValueId y =
      matmul(g, a, b, n.integer_attribute("transA", 0) != 0, n.integer_attribute("transB", 0) != 0);
  if (alpha != 1.0) y = scale(g, y, alpha);
  if (n.has(2) && beta != 0.0) {
    INK_TRY(const ValueId c, n.tensor(2));
    y = add(g, y, beta == 1.0 ? c : scale(g, c, beta));
  }
  return n.yield(y);
}

// Before opset 13 the axes from `axis` on are one; from 13 on the axis stands alone.
template <ValueId (*kBuild)(Graph&, ValueId)>
Result<void> soft(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const Shape shape = n.shape(x);
  INK_TRY(const std::size_t axis,
          n.axis(n.integer_attribute("axis", n.opset() < 13 ? 1 : -1), shape.rank()));
  Graph& g = n.graph();
  if (axis + 1 == shape.rank()) return n.yield(kBuild(g, x));
  if (n.opset() < 13) {
    std::int64_t rows = 1;
    for (std::size_t i = 0; i < axis; ++i) rows *= shape[i];
    if (rows == 0 || shape.elements() == 0) return n.unsupported("an empty operand");
    return n.yield(reshape(g, kBuild(g, reshape(g, x, {rows, shape.elements() / rows})), shape));
  }
  std::vector<std::int64_t> swap(shape.rank());
  for (std::size_t i = 0; i < swap.size(); ++i) swap[i] = static_cast<std::int64_t>(i);
  std::swap(swap[axis], swap.back());
  return n.yield(transpose(g, kBuild(g, transpose(g, x, swap)), swap));
}

constexpr HandlerRow kRows[] = {
    {"AveragePool", pool<false>},
    {"BatchNormalization", batch_normalization},
    {"Conv", conv},
    {"Gemm", gemm},
    {"GlobalAveragePool", global_average_pool},
    {"LogSoftmax", soft<log_softmax>},
    {"MatMul", mat_mul},
    {"MaxPool", pool<true>},
    {"Softmax", soft<softmax>},
};

}  // namespace

std::span<const HandlerRow> layer_handlers() { return kRows; }

}  // namespace inkling::onnx_import
