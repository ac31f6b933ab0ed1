#pragma once
// What the op files share: dispatch on the element type, shape rules, broadcast strides.

#include <algorithm>
#include <array>
#include <cstdint>
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

inline tl::unexpected<Error> refuse(const auto&... parts) {
  return fail(ErrorCode::kInvalidArgument, parts...);
}

// Every input is a float tensor, all of one element type, and there are between low and high of
// them.
inline Result<void> expect_floats(std::span<const TensorSpec> in, std::size_t low,
                                  std::size_t high) {
  if (in.size() < low || in.size() > high)
    return refuse(in.size(), " inputs, expected ", low, " to ", high);
  for (const TensorSpec& spec : in) {
    if (!is_float(spec.dtype)) return refuse(spec, ": expected a float tensor");
    if (spec.dtype != in[0].dtype) return refuse(spec, " with ", in[0], ": element types differ");
  }
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
