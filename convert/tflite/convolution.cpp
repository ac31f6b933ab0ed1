// TensorFlow Lite ops on images, and products of matrices. Images are channels-last there as here.

#include <array>
#include <cstring>

#include "convert/tflite/importer.h"

namespace inkling::tflite_import {

namespace {

constexpr std::int8_t kSame = 0;

struct Extent {
  std::array<std::int64_t, 2> kernel, strides, dilations = {1, 1};
};

// SAME pads so that out = ceil(in / stride), the odd element behind.
Window window_of(const Extent& e, std::int8_t padding, std::span<const std::int64_t> in) {
  Window window{.strides = e.strides, .pads = {0, 0, 0, 0}, .dilations = e.dilations};
  if (padding != kSame) return window;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t out = (in[i] + e.strides[i] - 1) / e.strides[i];
    const std::int64_t reach = (e.kernel[i] - 1) * e.dilations[i] + 1;
    const std::int64_t total = std::max<std::int64_t>((out - 1) * e.strides[i] + reach - in[i], 0);
    window.pads[i] = total / 2;
    window.pads[i + 2] = total - total / 2;
  }
  return window;
}

Result<void> expect_extent(const OpReader& n, const Extent& e) {
  for (std::size_t i = 0; i < 2; ++i) {
    for (const std::int64_t v : {e.kernel[i], e.strides[i], e.dilations[i]}) {
      if (v < 1 || v > 65536) return n.corrupt("a window of ", v);
    }
  }
  return {};
}

Result<ValueId> image(OpReader& n, std::size_t i) {
  INK_TRY(const ValueId x, n.input(i));
  if (n.shape(x).rank() != 4)
    return n.corrupt("input ", i, " is ", n.shape(x), ", expected an image");
  return x;
}

Result<ValueId> with_bias(OpReader& n, ValueId y, std::size_t i) {
  if (!n.has(i)) return y;
  INK_TRY(const ValueId bias, n.input(i));
  return add(n.graph(), y, bias);
}

// weights [out, kh, kw, in]
Result<void> convolution(OpReader& n) {
  INK_TRY(const ValueId x, image(n, 0));
  INK_TRY(const ValueId weights, image(n, 1));
  INK_TRY(const auto* o, n.options<tflite::Conv2DOptions>());
  const Shape w = n.shape(weights), s = n.shape(x);
  const Extent extent{
      {w[1], w[2]}, {o->stride_h(), o->stride_w()}, {o->dilation_h(), o->dilation_w()}};
  INK_CHECK_OK(expect_extent(n, extent));
  if (w[3] != s[3]) return n.unsupported("groups: ", s[3], " channels with weights for ", w[3]);
  Graph& g = n.graph();
  const ValueId y = conv2d(g, x, transpose(g, weights, {1, 2, 3, 0}),
                           window_of(extent, o->padding(), s.dims().subspan(1, 2)));
  INK_TRY(const ValueId sum, with_bias(n, y, 2));
  return n.yield_activated(sum, o->activation());
}

// weights [1, kh, kw, channels times multiplier], the outputs of a channel side by side
Result<void> depthwise(OpReader& n) {
  INK_TRY(ValueId x, image(n, 0));
  INK_TRY(const ValueId weights, image(n, 1));
  INK_TRY(const auto* o, n.options<tflite::DepthwiseConv2DOptions>());
  const Shape w = n.shape(weights), s = n.shape(x);
  const Extent extent{
      {w[1], w[2]}, {o->stride_h(), o->stride_w()}, {o->dilation_h(), o->dilation_w()}};
  INK_CHECK_OK(expect_extent(n, extent));
  if (w[0] != 1 || s[3] == 0 || w[3] % s[3] != 0)
    return n.corrupt(s[3], " channels with weights ", w);
  Graph& g = n.graph();
  const std::int64_t multiplier = w[3] / s[3];
  if (multiplier > 1) {  // each channel as often as it has outputs
    const Shape split{s[0], s[1], s[2], s[3], 1};
    x = reshape(g, broadcast_to(g, reshape(g, x, split), split.with(4, multiplier)),
                {s[0], s[1], s[2], w[3]});
  }
  const ValueId y = depthwise_conv2d(g, x, reshape(g, weights, {w[1], w[2], w[3]}),
                                     window_of(extent, o->padding(), s.dims().subspan(1, 2)));
  INK_TRY(const ValueId sum, with_bias(n, y, 2));
  return n.yield_activated(sum, o->activation());
}

// The image that a convolution with these weights [out, kh, kw, in] and window takes to x.
Result<ValueId> transposed(OpReader& n, ValueId x, ValueId weights,
                           std::span<const std::int64_t> size, std::array<std::int64_t, 2> strides,
                           std::int8_t padding) {
  const Shape w = n.shape(weights), s = n.shape(x);
  const Extent extent{{w[1], w[2]}, strides};
  INK_CHECK_OK(expect_extent(n, extent));
  INK_TRY(const Shape shape, Shape::from(std::array{s[0], size[0], size[1], w[0]}));
  Graph& g = n.graph();
  return conv2d_input_gradient(g, x, transpose(g, weights, {1, 2, 0, 3}),
                               window_of(extent, padding, size), shape);
}

Result<void> transposed_convolution(OpReader& n) {
  INK_TRY(const auto size, n.integers(0));
  INK_TRY(const ValueId weights, image(n, 1));
  INK_TRY(const ValueId x, image(n, 2));
  INK_TRY(const auto* o, n.options<tflite::TransposeConvOptions>());
  if (size.size() != 4) return n.corrupt("an output shape of ", size.size(), " sizes");
  INK_TRY(const ValueId y, transposed(n, x, weights, std::span(size).subspan(1, 2),
                                      {o->stride_h(), o->stride_w()}, o->padding()));
  INK_TRY(const ValueId sum, with_bias(n, y, 3));
  return n.yield_activated(sum, o->activation());
}

// MediaPipe's custom op: image, weights, bias; its options are three i32: padding (1 SAME, 2
// VALID), horizontal and vertical stride.
Result<void> transposed_convolution_with_bias(OpReader& n) {
  INK_TRY(const ValueId x, image(n, 0));
  INK_TRY(const ValueId weights, image(n, 1));
  std::array<std::int32_t, 3> o{};
  if (n.custom_options().size() < sizeof(o))
    return n.corrupt(n.custom_options().size(), " bytes of options, expected ", sizeof(o));
  std::memcpy(o.data(), n.custom_options().data(), sizeof(o));
  const bool same = o[0] == 1;
  if (!same && o[0] != 2) return n.unsupported("padding ", o[0]);
  const Shape w = n.shape(weights), s = n.shape(x);
  const std::array<std::int64_t, 2> strides = {o[2], o[1]};
  std::array<std::int64_t, 2> size{};
  for (std::size_t i = 0; i < 2; ++i) {
    if (strides[i] < 1 || strides[i] > 65536) return n.corrupt("a stride of ", strides[i]);
    size[i] = same ? s[i + 1] * strides[i] : (s[i + 1] - 1) * strides[i] + w[i + 1];
  }
  INK_TRY(const ValueId y, transposed(n, x, weights, size, strides, same ? kSame : std::int8_t{1}));
  INK_TRY(const ValueId sum, with_bias(n, y, 2));
  return n.yield(sum);
}

template <bool average>
Result<void> pool(OpReader& n) {
  INK_TRY(const ValueId x, image(n, 0));
  INK_TRY(const auto* o, n.options<tflite::Pool2DOptions>());
  const Extent extent{{o->filter_height(), o->filter_width()}, {o->stride_h(), o->stride_w()}};
  INK_CHECK_OK(expect_extent(n, extent));
  const Shape s = n.shape(x);
  const Window window = window_of(extent, o->padding(), s.dims().subspan(1, 2));
  Graph& g = n.graph();
  return n.yield_activated(
      average ? avg_pool(g, x, extent.kernel, window) : max_pool(g, x, extent.kernel, window),
      o->activation());
}

// weights [out, in]; everything but the last axis counts rows unless keep_num_dims
Result<void> fully_connected(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(const ValueId weights, n.input(1));
  INK_TRY(const auto* o, n.options<tflite::FullyConnectedOptions>());
  const Shape w = n.shape(weights), s = n.shape(x);
  if (o->weights_format() != 0) return n.unsupported("shuffled weights");
  if (w.rank() != 2 || w[1] == 0 || s.elements() % w[1] != 0)
    return n.corrupt(s, " with weights ", w);
  Graph& g = n.graph();
  ValueId y = matmul(g, reshape(g, x, {s.elements() / w[1], w[1]}), transpose(g, weights, {1, 0}));
  INK_TRY(y, with_bias(n, y, 2));
  if (o->keep_num_dims() && s.rank() > 0) y = reshape(g, y, s.with(s.rank() - 1, w[0]));
  return n.yield_activated(y, o->activation());
}

// Leading axes as those of `other`, repeated where they are 1 or missing.
ValueId leading_like(Graph& g, ValueId x, const Shape& other) {
  const Shape s = g.shape(x);
  std::vector<std::int64_t> ones(std::max(other.rank(), s.rank()) - s.rank(), 1);
  ones.insert(ones.end(), s.dims().begin(), s.dims().end());
  Shape to = *Shape::from(ones);
  const Shape expanded = to;
  const std::size_t lacking = to.rank() - other.rank();
  for (std::size_t axis = lacking; axis + 2 < to.rank(); ++axis) {
    if (to[axis] == 1) to = to.with(axis, other[axis - lacking]);
  }
  const ValueId reshaped = expanded == s ? x : reshape(g, x, expanded);
  return to == expanded ? reshaped : broadcast_to(g, reshaped, to);
}

Result<void> batch_matmul(OpReader& n) {
  INK_TRY(const ValueId a, n.input(0));
  INK_TRY(const ValueId b, n.input(1));
  INK_TRY(const auto* o, n.options<tflite::BatchMatMulOptions>());
  if (n.shape(a).rank() < 2 || n.shape(b).rank() < 2)
    return n.corrupt(n.shape(a), " times ", n.shape(b));
  Graph& g = n.graph();
  const ValueId left = leading_like(g, a, n.shape(b));
  const ValueId right = leading_like(g, b, n.shape(left));
  return n.yield(matmul(g, left, right, o->transpose_a(), o->transpose_b()));
}

constexpr HandlerRow kRows[] = {
    {1, "AVERAGE_POOL_2D", pool<true>},
    {3, "CONV_2D", convolution},
    {4, "DEPTHWISE_CONV_2D", depthwise},
    {9, "FULLY_CONNECTED", fully_connected},
    {17, "MAX_POOL_2D", pool<false>},
    {67, "TRANSPOSE_CONV", transposed_convolution},
    {126, "BATCH_MATMUL", batch_matmul},
    {kCustom, "Convolution2DTransposeBias", transposed_convolution_with_bias},
};

}  // namespace

std::span<const HandlerRow> convolution_handlers() { return kRows; }

}  // namespace inkling::tflite_import
