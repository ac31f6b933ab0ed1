#pragma once
// The loops of elementwise ops: y[i] = F::of(x[i]), and y[i] = F::of(a[i], b[i]) with NumPy's
// broadcasting, and the wrapping arithmetic of integers.

#include <type_traits>

#include "runtime/ops/support.h"

namespace inkling::ops {

inline Specs infer_unary_float(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(expect_floats(in, 1, 1));
  return std::vector<TensorSpec>{in[0]};
}

inline Specs infer_unary_number(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(expect_numbers(in, 1, 1));
  return std::vector<TensorSpec>{in[0]};
}

inline Specs infer_binary_number(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(expect_numbers(in, 2, 2));
  INK_TRY(const Shape shape, broadcast_shape(in[0].shape, in[1].shape));
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

template <typename F>
void map_floats(const KernelArgs& args) {
  on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    const std::int64_t n = args.in[0].elements();
    for (std::int64_t i = 0; i < n; ++i) y[i] = F::of(x[i]);
  });
}

template <typename F>
void map_numbers(const KernelArgs& args) {
  on_number(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    const std::int64_t n = args.in[0].elements();
    for (std::int64_t i = 0; i < n; ++i) y[i] = F::of(x[i]);
  });
}

// Y: the element type of the output.
template <typename T, typename Y, typename F>
void zip(const KernelArgs& args, const F& f) {
  const T* a = args.in[0].as<const T>();
  const T* b = args.in[1].as<const T>();
  Y* y = args.out[0].as<Y>();
  const Shape& shape = args.out[0].shape();
  for_each_index<2>(
      shape,
      {broadcast_strides(args.in[0].shape(), shape), broadcast_strides(args.in[1].shape(), shape)},
      [&](std::int64_t i, const auto& at) { y[i] = f(a[at[0]], b[at[1]]); });
}

template <typename F>
void zip_numbers(const KernelArgs& args) {
  on_number(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    zip<T, T>(args, [](T a, T b) { return F::of(a, b); });
  });
}

// An elementwise op whose derivative is its slope: dx = dy F::slope(x, y).
template <typename F>
void slope_derivative(Adjoint& a) {
  a.set(0, mul(a.graph, a.cotangent(), F::slope(a.graph, a.input(0), a.output())));
}

// Gradients have the shape of the output; an operand that the op itself broadcast sums them back.
inline void set_summed(Adjoint& a, std::size_t i, ValueId gradient) {
  a.set(i, sum_to(a.graph, gradient, a.graph.shape(a.input(i))));
}

// Appends a binary op on operands that broadcast together, with broadcast_to where they differ.
ValueId append_broadcast(Graph& g, OpKind op, ValueId a, ValueId b, Attrs attrs = {});

// Integers wrap around, as two's complement does; there is no division by zero: it gives zero.
// Wide enough that the arithmetic of the narrow types does not overflow int.
template <typename T>
using Wrapping = std::conditional_t<sizeof(T) < 4, std::uint32_t, std::make_unsigned_t<T>>;

template <typename T, typename F>
T wrap(T a, T b, const F& f) {
  if constexpr (std::is_floating_point_v<T>) {
    return f(a, b);
  } else {
    return static_cast<T>(f(static_cast<Wrapping<T>>(a), static_cast<Wrapping<T>>(b)));
  }
}

template <typename T>
T negated(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    return -x;
  } else {
    return wrap<T>(T{0}, x, [](auto a, auto b) { return a - b; });
  }
}

template <typename T>
T quotient(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return a / b;
  } else {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == T{-1}) return negated(a);
    }
    return static_cast<T>(a / b);
  }
}

}  // namespace inkling::ops
