// ONNX ops on quantised numbers, x = scale (q - zero): products are exact in i32, everything else
// is the arithmetic of the definition in f32.

#include <algorithm>

#include "convert/onnx/products.h"

namespace inkling::onnx_import {

namespace {

struct Range {
  double low, high;
};

Result<Range> range_of(NodeReader& n, DType type) {
  switch (type) {
    case DType::kU8:
      return Range{0, 255};
    case DType::kI8:
      return Range{-128, 127};
    case DType::kI16:
      return Range{-32768, 32767};
    case DType::kU16:
      return Range{0, 65535};
    default:
      return n.unsupported("quantised numbers of type ", dtype_name(type));
  }
}

// saturate(round(x / scale) + zero)
Result<ValueId> quantized(NodeReader& n, ValueId x, ValueId scale, ValueId zero, DType type) {
  INK_TRY(const Range range, range_of(n, type));
  Graph& g = n.graph();
  const ValueId steps = round(g, div(g, x, cast(g, scale, n.dtype(x))));
  const ValueId placed = add(g, steps, cast(g, zero, n.dtype(x)));
  return cast(g, clamp(g, placed, range.low, range.high), type);
}

// Input i, or a zero of that type, one number an entry of the axis.
Result<ValueId> zero_point(NodeReader& n, std::size_t i, DType type, std::size_t rank,
                           std::size_t axis) {
  if (!n.has(i)) return scalar_of(n.graph(), type, 0.0);
  INK_TRY(const ValueId zero, n.tensor(i));
  return per_channel(n, zero, rank, axis);
}

Result<ValueId> scale_of(NodeReader& n, std::size_t i, std::size_t rank, std::size_t axis) {
  INK_TRY(const ValueId scale, n.floats(i));
  return per_channel(n, scale, rank, axis);
}

// The axis of a scale with more than one entry.
Result<std::size_t> scale_axis(NodeReader& n, std::size_t rank) {
  INK_TRY(const ValueId scale, n.tensor(1));
  if (n.shape(scale).elements() == 1) return std::size_t{0};
  return n.axis(n.integer_attribute("axis", 1), rank);
}

Result<void> quantize_linear(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  const std::size_t rank = n.shape(x).rank();
  INK_TRY(const std::size_t axis, scale_axis(n, rank));
  INK_TRY(const ValueId scale, scale_of(n, 1, rank, axis));
  INK_TRY(const ValueId zero, zero_point(n, 2, DType::kU8, rank, axis));
  INK_TRY(const ValueId y, quantized(n, x, scale, zero, n.dtype(zero)));
  return n.yield(y);
}

Result<void> dequantize_linear(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const std::size_t rank = n.shape(x).rank();
  INK_TRY(const std::size_t axis, scale_axis(n, rank));
  INK_TRY(const ValueId scale, scale_of(n, 1, rank, axis));
  INK_TRY(const ValueId zero, zero_point(n, 2, n.dtype(x), rank, axis));
  Graph& g = n.graph();
  const ValueId steps = sub(g, cast(g, x, DType::kI32), cast(g, zero, DType::kI32));
  return n.yield(mul(g, cast(g, steps, n.dtype(scale)), scale));
}

Result<void> dynamic_quantize_linear(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  if (n.shape(x).elements() == 0) return n.unsupported("an empty operand");
  Graph& g = n.graph();
  const ValueId nothing = scalar_like(g, x, 0.0);
  const ValueId high = maximum(g, max_to(g, x, Shape{}), nothing);
  const ValueId low = minimum(g, min_to(g, x, Shape{}), nothing);
  const ValueId scale_value = scale(g, sub(g, high, low), 1.0 / 255.0);
  const ValueId zero =
      cast(g, clamp(g, round(g, neg(g, div(g, low, scale_value))), 0.0, 255.0), DType::kU8);
  INK_TRY(const ValueId y, quantized(n, x, scale_value, zero, DType::kU8));
  INK_CHECK_OK(n.yield(0, y));
  INK_CHECK_OK(n.yield(1, scale_value));
  return n.yield(2, zero);
}

// q - zero in i32
Result<ValueId> centred(NodeReader& n, std::size_t i, ValueId zero) {
  INK_TRY(const ValueId x, n.tensor(i));
  if (n.dtype(x) != DType::kU8 && n.dtype(x) != DType::kI8)
    return n.unsupported("input ", i, " is ", n.graph().spec(x));
  Graph& g = n.graph();
  return sub(g, cast(g, x, DType::kI32), cast(g, zero, DType::kI32));
}

std::size_t rank_of(NodeReader& n, std::size_t i) {
  const auto x = n.tensor(i);
  return x ? n.shape(*x).rank() : 0;
}

// A row number of the left operand or a column number of the right one.
std::size_t last_axis(std::size_t rank) { return rank == 0 ? 0 : rank - 1; }
std::size_t row_axis(std::size_t rank) { return rank < 2 ? 0 : rank - 2; }

Result<ValueId> integer_product(NodeReader& n, std::size_t a, std::size_t a_zero, std::size_t b,
                                std::size_t b_zero) {
  const std::size_t left = rank_of(n, a), right = rank_of(n, b);
  INK_TRY(const ValueId za, zero_point(n, a_zero, DType::kU8, left, row_axis(left)));
  INK_TRY(const ValueId zb, zero_point(n, b_zero, DType::kU8, right, last_axis(right)));
  INK_TRY(const ValueId x, centred(n, a, za));
  INK_TRY(const ValueId w, centred(n, b, zb));
  return matrix_product(n, x, w);
}

Result<void> mat_mul_integer(NodeReader& n) {
  INK_TRY(const ValueId y, integer_product(n, 0, 2, 1, 3));
  return n.yield(y);
}

// round(sum * (scale_a scale_b / scale_y)) + zero_y
Result<void> requantized(NodeReader& n, ValueId sums, ValueId factor, std::size_t scale,
                         std::size_t zero) {
  INK_TRY(const ValueId y_scale, scale_of(n, scale, 1, 0));
  INK_TRY(const ValueId y_zero, zero_point(n, zero, DType::kU8, 1, 0));
  Graph& g = n.graph();
  const ValueId scaled = mul(g, cast(g, sums, DType::kF32), div(g, factor, y_scale));
  INK_TRY(const ValueId y,
          quantized(n, scaled, scalar_of(g, DType::kF32, 1.0), y_zero, n.dtype(y_zero)));
  return n.yield(y);
}

Result<void> qlinear_mat_mul(NodeReader& n) {
  INK_TRY(const ValueId sums, integer_product(n, 0, 2, 3, 5));
  const std::size_t rank = n.shape(sums).rank();
  INK_TRY(const ValueId a, scale_of(n, 1, rank, row_axis(rank)));
  INK_TRY(const ValueId b, scale_of(n, 4, rank, last_axis(rank)));
  return requantized(n, sums, mul(n.graph(), a, b), 6, 7);
}

Result<ValueId> integer_convolution(NodeReader& n, std::size_t x, std::size_t x_zero, std::size_t w,
                                    std::size_t w_zero) {
  INK_TRY(const ValueId zx, zero_point(n, x_zero, DType::kU8, 0, 0));
  INK_TRY(const ValueId zw, zero_point(n, w_zero, DType::kU8, rank_of(n, w), 0));
  INK_TRY(const ValueId image, centred(n, x, zx));
  INK_TRY(const ValueId weights, centred(n, w, zw));
  return convolve(n, image, weights);
}

Result<void> conv_integer(NodeReader& n) {
  INK_TRY(const ValueId y, integer_convolution(n, 0, 2, 1, 3));
  return n.yield(y);
}

Result<void> qlinear_conv(NodeReader& n) {
  INK_TRY(ValueId sums, integer_convolution(n, 0, 2, 3, 5));
  const std::size_t rank = n.shape(sums).rank();
  Graph& g = n.graph();
  if (n.has(8)) {
    INK_TRY(const ValueId bias, n.tensor(8));
    INK_TRY(const ValueId shaped, per_channel(n, bias, rank));
    sums = add(g, sums, shaped);
  }
  INK_TRY(const ValueId a, scale_of(n, 1, 0, 0));
  INK_TRY(const ValueId b, scale_of(n, 4, rank, 1));
  return requantized(n, sums, mul(g, a, b), 6, 7);
}

constexpr HandlerRow kRows[] = {
    {"ConvInteger", conv_integer},
    {"DequantizeLinear", dequantize_linear},
    {"DynamicQuantizeLinear", dynamic_quantize_linear},
    {"MatMulInteger", mat_mul_integer},
    {"QLinearConv", qlinear_conv},
    {"QLinearMatMul", qlinear_mat_mul},
    {"QuantizeLinear", quantize_linear},
};

}  // namespace

std::span<const HandlerRow> quantization_handlers() { return kRows; }

}  // namespace inkling::onnx_import
