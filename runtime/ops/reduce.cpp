// Along axes that shrink to size 1 (or, in front, away), as sum_to does, and along one axis:
//
//   max_to, min_to  the largest, the smallest   dx = dy where x = y, shared by equals
//   prod_to         the product                 dx = dy y / x; x must not be zero
//   cumsum          y_i = x_0 + ... + x_i along an axis; the attributes leave x_i out, or sum from
//                   the end                     dx = cumsum from the other end
//   top_k           the k largest (or smallest) of each row, in order, and where they stood (i64);
//                   of equals the first         dx = scatter_add(places, dy)

#include <numeric>

#include "runtime/ops/elementwise.h"

namespace inkling {

namespace {

ops::Specs infer_to(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_numbers(in, 1, 1));
  INK_TRY(const Shape shape, Shape::from(attrs.integers(Attr::kShape)));
  const auto joint = ops::broadcast_shape(in[0].shape, shape);
  if (!joint || *joint != in[0].shape)
    return ops::refuse(in[0].shape, " to ", shape, ": not a reduction of axes");
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

template <typename F>
void reduce(const KernelArgs& args) {
  const Shape& shape = args.in[0].shape();
  ops::on_number(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    std::fill_n(y, args.out[0].elements(), F::template first<T>());
    ops::for_each_index<1>(
        shape, {ops::broadcast_strides(args.out[0].shape(), shape)},
        [&](std::int64_t i, const auto& at) { y[at[0]] = F::of(y[at[0]], x[i]); });
  });
}

struct Max {
  template <typename T>
  static constexpr T first() {
    using Limits = std::numeric_limits<T>;
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  }
  template <typename T>
  static T of(T a, T b) {
    return b > a || b != b ? b : a;
  }
};
struct Min {
  template <typename T>
  static constexpr T first() {
    using Limits = std::numeric_limits<T>;
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
  template <typename T>
  static T of(T a, T b) {
    return b < a || b != b ? b : a;
  }
};
struct Prod {
  template <typename T>
  static constexpr T first() {
    return T{1};
  }
  template <typename T>
  static T of(T a, T b) {
    return ops::wrap(a, b, [](auto x, auto y) { return x * y; });
  }
};

void extreme_derivative(Adjoint& a) {
  Graph& g = a.graph;
  const Shape& from = g.shape(a.input(0));
  const Shape to = g.shape(a.output());
  const ValueId chosen =
      cast(g, equal(g, a.input(0), broadcast_to(g, a.output(), from)), g.spec(a.output()).dtype);
  const ValueId share = div(g, a.cotangent(), sum_to(g, chosen, to));
  a.set(0, mul(g, chosen, broadcast_to(g, share, g.shape(a.input(0)))));
}

void prod_derivative(Adjoint& a) {
  Graph& g = a.graph;
  const ValueId product = mul(g, a.cotangent(), a.output());
  a.set(0, div(g, broadcast_to(g, product, g.shape(a.input(0))), a.input(0)));
}

ops::Specs infer_cumsum(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_numbers(in, 1, 1));
  const std::int64_t axis = attrs.integer(Attr::kAxis, -1);
  if (axis < 0 || axis >= static_cast<std::int64_t>(in[0].shape.rank()))
    return ops::refuse("axis ", axis, " of ", in[0].shape);
  return std::vector<TensorSpec>{in[0]};
}

void cumsum_reference(const KernelArgs& args) {
  const Shape& shape = args.in[0].shape();
  const auto axis = static_cast<std::size_t>(args.attrs.integer(Attr::kAxis));
  const bool exclusive = args.attrs.integer(Attr::kExclusive) != 0;
  const bool reverse = args.attrs.integer(Attr::kReverse) != 0;
  const std::int64_t count = shape[axis], stride = strides_of(shape)[axis];
  ops::on_number(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    ops::for_each_index<1>(shape.with(axis, 1), {strides_of(shape)},
                           [&](std::int64_t, const auto& at) {
                             T total{0};
                             for (std::int64_t k = 0; k < count; ++k) {
                               const auto i = at[0] + (reverse ? count - 1 - k : k) * stride;
                               const T before = total;
                               total = ops::wrap(total, x[i], [](auto u, auto v) { return u + v; });
                               y[i] = exclusive ? before : total;
                             }
                           });
  });
}

void cumsum_derivative(Adjoint& a) {
  a.set(0,
        cumsum(a.graph, a.cotangent(), a.attrs().integer(Attr::kAxis),
               a.attrs().integer(Attr::kExclusive) != 0, a.attrs().integer(Attr::kReverse) == 0));
}

ops::Specs infer_top_k(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_numbers(in, 1, 1));
  const Shape& x = in[0].shape;
  const std::int64_t k = attrs.integer(Attr::kCount, -1);
  if (x.rank() == 0 || k < 0 || k > x.back()) return ops::refuse(k, " of the last axis of ", x);
  const Shape shape = x.with(x.rank() - 1, k);
  return std::vector<TensorSpec>{{in[0].dtype, shape}, {DType::kI64, shape}};
}

// Selection by insertion into the k best so far: no memory but the outputs. NaN counts as largest.
void top_k_reference(const KernelArgs& args) {
  const std::int64_t n = args.in[0].shape().back(), k = args.attrs.integer(Attr::kCount);
  const bool smallest = args.attrs.integer(Attr::kMode) != 0;
  if (k == 0) return;
  ops::on_number(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto larger = [](T a, T b) { return a > b || (a != a && b == b); };
    const auto better = [&](T a, T b) { return smallest ? larger(b, a) : larger(a, b); };
    const std::int64_t rows = args.out[0].elements() / k;
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* x = args.in[0].as<const T>() + r * n;
      T* best = args.out[0].as<T>() + r * k;
      auto* place = args.out[1].as<std::int64_t>() + r * k;
      std::int64_t found = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        if (found == k && !better(x[i], best[k - 1])) continue;
        std::int64_t at = found < k ? found++ : k - 1;
        for (; at > 0 && better(x[i], best[at - 1]); --at) {
          best[at] = best[at - 1];
          place[at] = place[at - 1];
        }
        best[at] = x[i];
        place[at] = i;
      }
    }
  });
}

void top_k_derivative(Adjoint& a) {
  Graph& g = a.graph;
  const Shape x = g.shape(a.input(0)), y = g.shape(a.output());
  const std::int64_t k = y.back(), n = x.back(), rows = k == 0 ? 0 : y.elements() / k;
  Tensor starts = Tensor::zeros({DType::kI64, {rows, 1}});
  for (std::int64_t r = 0; r < rows; ++r)
    starts.mutable_data<std::int64_t>()[static_cast<std::size_t>(r)] = r * n;
  const ValueId places = add(g, reshape(g, a.output(1), {rows, k}), g.constant(std::move(starts)));
  const ValueId gradient = scatter_add(g, reshape(g, places, {rows * k}),
                                       reshape(g, a.cotangent(), {rows * k}), 0, {x.elements()});
  a.set(0, reshape(g, gradient, x));
}

}  // namespace

constinit const OpDef max_to_def{"max_to", infer_to, reduce<Max>, extreme_derivative};
constinit const OpDef min_to_def{"min_to", infer_to, reduce<Min>, extreme_derivative};
constinit const OpDef prod_to_def{"prod_to", infer_to, reduce<Prod>, prod_derivative};
constinit const OpDef cumsum_def{"cumsum", infer_cumsum, cumsum_reference, cumsum_derivative};
constinit const OpDef top_k_def{"top_k", infer_top_k, top_k_reference, top_k_derivative};

namespace {
ValueId reduce_to(Graph& g, OpKind op, ValueId x, const Shape& shape) {
  if (!g.status() || g.shape(x) == shape) return x;
  return g.append(op, {x}, {{Attr::kShape, ops::dims_of(shape)}});
}
}  // namespace

ValueId max_to(Graph& g, ValueId x, const Shape& shape) {
  return reduce_to(g, OpKind::kMaxTo, x, shape);
}
ValueId min_to(Graph& g, ValueId x, const Shape& shape) {
  return reduce_to(g, OpKind::kMinTo, x, shape);
}
ValueId prod_to(Graph& g, ValueId x, const Shape& shape) {
  return reduce_to(g, OpKind::kProdTo, x, shape);
}

ValueId cumsum(Graph& g, ValueId x, std::int64_t axis, bool exclusive, bool reverse) {
  return g.append(OpKind::kCumsum, {x},
                  {{Attr::kAxis, axis},
                   {Attr::kExclusive, std::int64_t{exclusive}},
                   {Attr::kReverse, std::int64_t{reverse}}});
}

TopK top_k(Graph& g, ValueId x, std::int64_t k, bool smallest) {
  const ValueId values =
      g.append(OpKind::kTopK, {x}, {{Attr::kCount, k}, {Attr::kMode, std::int64_t{smallest}}});
  return {values, Graph::result_of(values, 1)};
}

}  // namespace inkling
