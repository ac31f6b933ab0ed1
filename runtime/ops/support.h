#pragma once
// What the op files share: dispatch on the element type, shape rules, broadcast strides.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "runtime/op.h"
#include "runtime/ops.h"

namespace inkling::ops {

using Specs = Result<std::vector<TensorSpec>>;

// Calls body(float{}) or body(double{}).
template <typename Body>
void on_float(DType dtype, const Body& body) {
  if (dtype == DType::kF32) {
    body(float{});
  } else {
    INK_INVARIANT(dtype == DType::kF64);
    body(double{});
  }
}

// Calls body with a zero of the type: the floats and the integers of every width.
template <typename Body>
void on_number(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kI32:
      return body(std::int32_t{});
    case DType::kI64:
      return body(std::int64_t{});
    case DType::kU8:
      return body(std::uint8_t{});
    case DType::kI8:
      return body(std::int8_t{});
    case DType::kI16:
      return body(std::int16_t{});
    case DType::kU16:
      return body(std::uint16_t{});
    case DType::kU32:
      return body(std::uint32_t{});
    case DType::kU64:
      return body(std::uint64_t{});
    default:
      return on_float(dtype, body);
  }
}

// Calls body with an unsigned integer of the element's width: for ops that only move elements.
template <typename Body>
void on_width(DType dtype, const Body& body) {
  switch (dtype_bytes(dtype)) {
    case 1:
      return body(std::uint8_t{});
    case 2:
      return body(std::uint16_t{});
    case 4:
      return body(std::uint32_t{});
    default:
      return body(std::uint64_t{});
  }
}

// Is the value one that a number of this type can be (or, for floats, be rounded to)?
inline bool holds(DType dtype, double value) {
  if (is_float(dtype)) return true;
  if (!is_integer(dtype) || value != std::trunc(value)) return false;
  bool fits = false;
  on_number(dtype, [&](auto tag) {
    using Limits = std::numeric_limits<decltype(tag)>;
    fits =
        value >= static_cast<double>(Limits::lowest()) && value < std::ldexp(1.0, Limits::digits);
  });
  return fits;
}

inline tl::unexpected<Error> refuse(const auto&... parts) {
  return fail(ErrorCode::kInvalidArgument, parts...);
}

// There are between low and high inputs, all of one element type.
inline Result<void> expect_alike(std::span<const TensorSpec> in, std::size_t low,
                                 std::size_t high) {
  if (in.size() < low || in.size() > high)
    return refuse(in.size(), " inputs, expected ", low, " to ", high);
  for (const TensorSpec& spec : in) {
    if (spec.dtype != in[0].dtype) return refuse(spec, " with ", in[0], ": element types differ");
  }
  return {};
}

// The same, and the type is f32 or f64.
inline Result<void> expect_floats(std::span<const TensorSpec> in, std::size_t low,
                                  std::size_t high) {
  INK_CHECK_OK(expect_alike(in, low, high));
  if (!is_float(in[0].dtype)) return refuse(in[0], ": expected a float tensor");
  return {};
}

// The same, and the type is a float or an integer.
inline Result<void> expect_numbers(std::span<const TensorSpec> in, std::size_t low,
                                   std::size_t high) {
  INK_CHECK_OK(expect_alike(in, low, high));
  if (!is_number(in[0].dtype)) return refuse(in[0], ": expected numbers");
  return {};
}

// NumPy's rule: align at the last axis; sizes agree or one of them is 1.
inline Result<Shape> broadcast_shape(const Shape& a, const Shape& b) {
  const std::size_t rank = std::max(a.rank(), b.rank());
  std::vector<std::int64_t> dims(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t x = i < rank - a.rank() ? 1 : a[i - (rank - a.rank())];
    const std::int64_t y = i < rank - b.rank() ? 1 : b[i - (rank - b.rank())];
    if (x != y && x != 1 && y != 1) return refuse(a, " with ", b, ": cannot be broadcast together");
    dims[i] = x == 1 ? y : x;
  }
  return Shape::from(dims);
}

inline std::vector<std::int64_t> dims_of(const Shape& shape) {
  return {shape.dims().begin(), shape.dims().end()};
}

// Strides that read a tensor of shape `from` as if it had the shape `to`: 0 along repeated axes.
inline std::array<std::int64_t, kRankMax> broadcast_strides(const Shape& from, const Shape& to) {
  const auto own = strides_of(from);
  std::array<std::int64_t, kRankMax> strides{};
  const std::size_t lead = to.rank() - from.rank();
  for (std::size_t i = 0; i < from.rank(); ++i) strides[lead + i] = from[i] == 1 ? 0 : own[i];
  return strides;
}

// Calls body(offsets...) for each index of `shape` in row-major order, with the offset that each of
// the strides gives.
template <std::size_t N, typename Body>
void for_each_index(const Shape& shape,
                    const std::array<std::array<std::int64_t, kRankMax>, N>& strides,
                    const Body& body) {
  std::array<std::int64_t, kRankMax> index{};
  std::array<std::int64_t, N> offsets{};
  const std::int64_t count = shape.elements();
  for (std::int64_t i = 0; i < count; ++i) {
    body(i, offsets);
    for (std::size_t axis = shape.rank(); axis-- > 0;) {
      for (std::size_t s = 0; s < N; ++s) offsets[s] += strides[s][axis];
      if (++index[axis] < shape[axis]) break;
      for (std::size_t s = 0; s < N; ++s) offsets[s] -= strides[s][axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace inkling::ops
