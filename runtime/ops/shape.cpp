// Ops that move numbers without changing them, and the sum that undoes repetition.
//
//   reshape       same numbers in the same order        dx = reshape(dy, shape of x)
//   transpose     y[i_0, ...] = x[...], axis i of y is   dx = transpose(dy, inverse permutation)
//                 axis permutation[i] of x
//   broadcast_to  repeats along axes of size 1           dx = sum_to(dy, shape of x)
//   sum_to        sums along the same axes               dx = broadcast_to(dy, shape of x)
//
// The sums run in row-major order of x, so they do not depend on threads.

#include "runtime/ops/support.h"

namespace inkling {

namespace {

ops::Specs infer_reshape(std::span<const TensorSpec> in, const Attrs& attrs) {
  if (in.size() != 1) return ops::refuse(in.size(), " inputs, expected 1");
  INK_TRY(const Shape shape, Shape::from(attrs.integers(Attr::kShape)));
  if (shape.elements() != in[0].shape.elements()) {
    return ops::refuse(in[0].shape, " to ", shape, ": element counts differ");
  }
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

void reshape_reference(const KernelArgs& args) {
  const auto* from = args.in[0].as<std::byte>();
  auto* to = args.out[0].as<std::byte>();
  if (from != to) std::copy_n(from, args.in[0].spec.bytes(), to);
}

void reshape_derivative(Adjoint& a) {
  a.set(0, reshape(a.graph, a.cotangent(), a.graph.shape(a.input(0))));
}

ops::Specs infer_transpose(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_alike(in, 1, 1));
  const auto& permutation = attrs.integers(Attr::kPermutation);
  const std::size_t rank = in[0].shape.rank();
  std::vector<bool> seen(rank, false);
  std::vector<std::int64_t> dims;
  for (const std::int64_t axis : permutation) {
    if (axis < 0 || axis >= static_cast<std::int64_t>(rank) || seen[static_cast<std::size_t>(axis)])
      break;
    seen[static_cast<std::size_t>(axis)] = true;
    dims.push_back(in[0].shape[static_cast<std::size_t>(axis)]);
  }
  if (dims.size() != rank || permutation.size() != rank) {
    return ops::refuse("the permutation is not one of the ", rank, " axes of ", in[0].shape);
  }
  INK_TRY(const Shape shape, Shape::from(dims));
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

void transpose_reference(const KernelArgs& args) {
  const auto& permutation = args.attrs.integers(Attr::kPermutation);
  const auto from = strides_of(args.in[0].shape());
  std::array<std::int64_t, kRankMax> strides{};
  for (std::size_t i = 0; i < permutation.size(); ++i)
    strides[i] = from[static_cast<std::size_t>(permutation[i])];
  ops::on_width(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    ops::for_each_index<1>(args.out[0].shape(), {strides},
                           [&](std::int64_t i, const auto& at) { y[i] = x[at[0]]; });
  });
}

void transpose_derivative(Adjoint& a) {
  const auto& permutation = a.attrs().integers(Attr::kPermutation);
  std::vector<std::int64_t> inverse(permutation.size());
  for (std::size_t i = 0; i < permutation.size(); ++i) {
    inverse[static_cast<std::size_t>(permutation[i])] = static_cast<std::int64_t>(i);
  }
  a.set(0, transpose(a.graph, a.cotangent(), std::move(inverse)));
}

ops::Specs infer_broadcast_to(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_alike(in, 1, 1));
  INK_TRY(const Shape shape, Shape::from(attrs.integers(Attr::kShape)));
  const auto joint = ops::broadcast_shape(in[0].shape, shape);
  if (!joint || *joint != shape)
    return ops::refuse(in[0].shape, " to ", shape, ": not a repetition");
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

void broadcast_to_reference(const KernelArgs& args) {
  const Shape& shape = args.out[0].shape();
  ops::on_width(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    ops::for_each_index<1>(shape, {ops::broadcast_strides(args.in[0].shape(), shape)},
                           [&](std::int64_t i, const auto& at) { y[i] = x[at[0]]; });
  });
}

void broadcast_to_derivative(Adjoint& a) {
  a.set(0, sum_to(a.graph, a.cotangent(), a.graph.shape(a.input(0))));
}

ops::Specs infer_sum_to(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_numbers(in, 1, 1));
  INK_TRY(const Shape shape, Shape::from(attrs.integers(Attr::kShape)));
  const auto joint = ops::broadcast_shape(in[0].shape, shape);
  if (!joint || *joint != in[0].shape)
    return ops::refuse(in[0].shape, " to ", shape, ": not a sum over axes");
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

void sum_to_reference(const KernelArgs& args) {
  const Shape& shape = args.in[0].shape();
  ops::on_number(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    std::fill_n(y, args.out[0].elements(), T{0});
    ops::for_each_index<1>(
        shape, {ops::broadcast_strides(args.out[0].shape(), shape)},
        [&](std::int64_t i, const auto& at) { y[at[0]] = static_cast<T>(y[at[0]] + x[i]); });
  });
}

void sum_to_derivative(Adjoint& a) {
  a.set(0, broadcast_to(a.graph, a.cotangent(), a.graph.shape(a.input(0))));
}

}  // namespace

constinit const OpDef reshape_def{"reshape", infer_reshape, reshape_reference, reshape_derivative,
                                  true};
constinit const OpDef transpose_def{"transpose", infer_transpose, transpose_reference,
                                    transpose_derivative};
constinit const OpDef broadcast_to_def{"broadcast_to", infer_broadcast_to, broadcast_to_reference,
                                       broadcast_to_derivative};
constinit const OpDef sum_to_def{"sum_to", infer_sum_to, sum_to_reference, sum_to_derivative};

ValueId reshape(Graph& g, ValueId x, const Shape& shape) {
  if (!g.status() || g.shape(x) == shape) return x;
  return g.append(OpKind::kReshape, {x}, {{Attr::kShape, ops::dims_of(shape)}});
}

ValueId transpose(Graph& g, ValueId x, std::vector<std::int64_t> permutation) {
  return g.append(OpKind::kTranspose, {x}, {{Attr::kPermutation, std::move(permutation)}});
}

ValueId broadcast_to(Graph& g, ValueId x, const Shape& shape) {
  if (!g.status() || g.shape(x) == shape) return x;
  return g.append(OpKind::kBroadcastTo, {x}, {{Attr::kShape, ops::dims_of(shape)}});
}

ValueId sum_to(Graph& g, ValueId x, const Shape& shape) {
  if (!g.status() || g.shape(x) == shape) return x;
  return g.append(OpKind::kSumTo, {x}, {{Attr::kShape, ops::dims_of(shape)}});
}

ValueId sum(Graph& g, ValueId x) { return sum_to(g, x, Shape{}); }

ValueId mean(Graph& g, ValueId x) {
  if (!g.status()) return kNoValue;
  const auto count = static_cast<double>(g.shape(x).elements());
  return scale(g, sum(g, x), 1.0 / count);
}

ValueId mean_axes(Graph& g, ValueId x, std::span<const std::int64_t> axes) {
  if (!g.status()) return kNoValue;
  Shape shape = g.shape(x);
  double count = 1;
  for (const std::int64_t axis : axes) {
    if (axis < 0 || axis >= static_cast<std::int64_t>(shape.rank())) {
      g.latch({ErrorCode::kInvalidArgument, concat("mean: axis ", axis, " of ", shape)});
      return kNoValue;
    }
    count *= static_cast<double>(shape[static_cast<std::size_t>(axis)]);
    shape = shape.with(static_cast<std::size_t>(axis), 1);
  }
  return scale(g, sum_to(g, x, shape), 1.0 / count);
}

}  // namespace inkling
