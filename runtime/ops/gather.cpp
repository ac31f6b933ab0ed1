// Rows picked by number, and rows added or written where numbers say. With x[outer, rows, inner]
// cut at the axis and indices of any shape:
//
//   gather       y[o, i..., :] = x[o, indices[i...], :]            dx = scatter_add(indices, dy)
//   scatter_add  y = 0; y[o, indices[i...], :] += u[o, i..., :]    du = gather(dy, indices)
//   scatter      y = x; y[indices[i], :] = u[i, :]  (mode set)     dx = scatter(dy, indices, 0)
//                  or multiplied into, or the smaller or larger      du = gather(dy, indices)
//   coalesce_rows  r = the distinct indices, from the front, ascending; v[j] = sum of u[i] where
//                  indices[i] = r[j]; behind them rows that name none, with zeros. It makes the
//                  rows of a step, not a part of a loss: no derivative
//
// A negative index counts from the end. One that lies outside names no row: gather gives zeros for
// it, scatters leave it out, so that the first two are adjoint for every index. Rows are visited in
// order: sums are the same on any machine, and of two writes the later stays. The derivative of
// scatter by mode set takes each row to be written once; the other modes have none.

#include "runtime/ops/gather.h"

namespace inkling {

namespace {

Result<void> expect_indices(const TensorSpec& indices) {
  if (indices.dtype != DType::kI32 && indices.dtype != DType::kI64)
    return ops::refuse("indices ", indices, ": expected i32 or i64");
  return {};
}

Result<std::size_t> expect_axis(const Attrs& attrs, const Shape& x) {
  const std::int64_t axis = attrs.integer(Attr::kAxis);
  if (axis < 0 || axis >= static_cast<std::int64_t>(x.rank()))
    return ops::refuse("axis ", axis, " of ", x);
  return static_cast<std::size_t>(axis);
}

// x with the axis replaced by the axes of the indices.
Result<Shape> picked_shape(const Shape& x, std::size_t axis, const Shape& indices) {
  const auto from = x.dims();
  std::vector<std::int64_t> dims(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(axis));
  dims.insert(dims.end(), indices.dims().begin(), indices.dims().end());
  dims.insert(dims.end(), from.begin() + static_cast<std::ptrdiff_t>(axis) + 1, from.end());
  return Shape::from(dims);
}

ops::Specs infer_gather(std::span<const TensorSpec> in, const Attrs& attrs) {
  if (in.size() != 2) return ops::refuse(in.size(), " inputs, expected 2");
  INK_CHECK_OK(expect_indices(in[1]));
  INK_TRY(const std::size_t axis, expect_axis(attrs, in[0].shape));
  INK_TRY(const Shape shape, picked_shape(in[0].shape, axis, in[1].shape));
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

void gather_reference(const KernelArgs& args) {
  const auto s = ops::gather_size(args.in[0].shape(), args.in[1].shape(), args.attrs);
  ops::on_width(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    for (std::int64_t o = 0; o < s.outer; ++o) {
      for (std::int64_t i = 0; i < s.picked; ++i, y += s.inner) {
        const std::int64_t row = ops::row_of(args.in[1], i, s.rows);
        if (row < 0) {
          std::fill_n(y, s.inner, T{0});
        } else {
          std::copy_n(x + (o * s.rows + row) * s.inner, s.inner, y);
        }
      }
    }
  });
}

void gather_derivative(Adjoint& a) {
  if (!a.wanted(0)) return;
  a.set(0, scatter_add(a.graph, a.input(1), a.cotangent(), a.attrs().integer(Attr::kAxis),
                       a.graph.shape(a.input(0))));
}

ops::Specs infer_scatter_add(std::span<const TensorSpec> in, const Attrs& attrs) {
  if (in.size() != 2) return ops::refuse(in.size(), " inputs, expected 2");
  INK_CHECK_OK(expect_indices(in[0]));
  if (!is_number(in[1].dtype)) return ops::refuse("updates ", in[1], ": expected numbers");
  INK_TRY(const Shape shape, Shape::from(attrs.integers(Attr::kShape)));
  INK_TRY(const std::size_t axis, expect_axis(attrs, shape));
  INK_TRY(const Shape updates, picked_shape(shape, axis, in[0].shape));
  if (in[1].shape != updates)
    return ops::refuse("updates ", in[1].shape, " for ", in[0].shape, " rows of ", shape,
                       ", expected ", updates);
  return std::vector<TensorSpec>{{in[1].dtype, shape}};
}

void scatter_add_reference(const KernelArgs& args) {
  const auto s = ops::gather_size(args.out[0].shape(), args.in[0].shape(), args.attrs);
  ops::on_number(args.in[1].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* u = args.in[1].as<T>();
    T* y = args.out[0].as<T>();
    std::fill_n(y, args.out[0].elements(), T{0});
    for (std::int64_t o = 0; o < s.outer; ++o) {
      for (std::int64_t i = 0; i < s.picked; ++i, u += s.inner) {
        const std::int64_t row = ops::row_of(args.in[0], i, s.rows);
        if (row < 0) continue;
        T* to = y + (o * s.rows + row) * s.inner;
        for (std::int64_t k = 0; k < s.inner; ++k) to[k] = static_cast<T>(to[k] + u[k]);
      }
    }
  });
}

void scatter_add_derivative(Adjoint& a) {
  if (!a.wanted(1)) return;
  a.set(1, gather(a.graph, a.cotangent(), a.input(0), a.attrs().integer(Attr::kAxis)));
}

ops::Specs infer_scatter(std::span<const TensorSpec> in, const Attrs& attrs) {
  if (in.size() != 3) return ops::refuse(in.size(), " inputs, expected 3");
  INK_CHECK_OK(expect_indices(in[1]));
  const std::int64_t mode = attrs.integer(Attr::kMode);
  if (mode < 0 || mode > static_cast<std::int64_t>(ScatterMode::kMax))
    return ops::refuse("mode ", mode);
  if (mode != 0 && !is_number(in[0].dtype)) return ops::refuse(in[0], ": expected numbers");
  if (in[0].shape.rank() == 0) return ops::refuse(in[0], ": expected an axis of rows");
  INK_TRY(const Shape updates, picked_shape(in[0].shape, 0, in[1].shape));
  if (in[2].dtype != in[0].dtype || in[2].shape != updates)
    return ops::refuse("updates ", in[2], " for ", in[1].shape, " rows of ", in[0], ", expected ",
                       updates);
  return std::vector<TensorSpec>{in[0]};
}

template <typename T, typename Combine>
void scatter_rows(const KernelArgs& args, const Combine& combine) {
  const auto s = ops::gather_size(args.in[0].shape(), args.in[1].shape(), args.attrs);
  const T* x = args.in[0].as<T>();
  const T* u = args.in[2].as<T>();
  T* y = args.out[0].as<T>();
  if (x != y) std::copy_n(x, args.out[0].elements(), y);  // else it is written in place
  for (std::int64_t i = 0; i < s.picked; ++i, u += s.inner) {
    const std::int64_t row = ops::row_of(args.in[1], i, s.rows);
    if (row < 0) continue;
    T* to = y + row * s.inner;
    for (std::int64_t k = 0; k < s.inner; ++k) to[k] = combine(to[k], u[k]);
  }
}

void scatter_reference(const KernelArgs& args) {
  const auto mode = static_cast<ScatterMode>(args.attrs.integer(Attr::kMode));
  if (mode == ScatterMode::kSet) {
    ops::on_width(args.in[0].spec.dtype, [&](auto tag) {
      scatter_rows<decltype(tag)>(args, [](auto, auto u) { return u; });
    });
    return;
  }
  ops::on_number(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    scatter_rows<T>(args, [mode](T y, T u) {
      if (mode == ScatterMode::kMul) return static_cast<T>(y * u);
      return mode == ScatterMode::kMin ? std::min(y, u) : std::max(y, u);
    });
  });
}

void scatter_derivative(Adjoint& a) {
  if (a.attrs().integer(Attr::kMode) != static_cast<std::int64_t>(ScatterMode::kSet)) {
    a.graph.latch({ErrorCode::kUnsupported, "scatter: only mode set has a derivative"});
    return;
  }
  if (a.wanted(0)) {
    const ValueId zeros = a.graph.constant(Tensor::zeros(a.graph.spec(a.input(2))));
    a.set(0, scatter(a.graph, a.cotangent(), a.input(1), zeros));
  }
  if (a.wanted(2)) a.set(2, gather(a.graph, a.cotangent(), a.input(1), 0));
}

ops::Specs infer_coalesce(std::span<const TensorSpec> in, const Attrs& attrs) {
  if (in.size() != 2) return ops::refuse(in.size(), " inputs, expected 2");
  INK_CHECK_OK(expect_indices(in[0]));
  if (!is_float(in[1].dtype)) return ops::refuse("updates ", in[1], ": expected a float tensor");
  if (in[0].shape.rank() != 1 || in[1].shape.rank() == 0 || in[1].shape[0] != in[0].shape[0])
    return ops::refuse("updates ", in[1].shape, " for rows ", in[0].shape,
                       ", expected [k, ...] for [k]");
  if (attrs.integer(Attr::kCount) < 1) return ops::refuse(attrs.integer(Attr::kCount), " rows");
  return std::vector<TensorSpec>{{DType::kI64, in[0].shape}, in[1]};
}

void coalesce_reference(const KernelArgs& args) {
  const std::int64_t rows = args.attrs.integer(Attr::kCount), picked = args.in[0].elements();
  const std::int64_t inner = picked == 0 ? 0 : args.in[1].elements() / picked;
  auto* named = args.out[0].as<std::int64_t>();
  for (std::int64_t i = 0; i < picked; ++i) {
    const std::int64_t row = ops::row_of(args.in[0], i, rows);
    named[i] = row < 0 ? rows : row;
  }
  std::sort(named, named + picked);
  std::int64_t* end = std::unique(named, std::find(named, named + picked, rows));
  std::fill(end, named + picked, rows);
  ops::on_float(args.in[1].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    T* values = args.out[1].as<T>();
    std::fill_n(values, picked * inner, T{0});
    for (std::int64_t i = 0; i < picked; ++i) {
      const std::int64_t row = ops::row_of(args.in[0], i, rows);
      if (row < 0) continue;
      T* to = values + (std::lower_bound(named, end, row) - named) * inner;
      for (std::int64_t k = 0; k < inner; ++k) to[k] += args.in[1].as<T>()[i * inner + k];
    }
  });
}

}  // namespace

constinit const OpDef gather_def{"gather", infer_gather, gather_reference, gather_derivative};
constinit const OpDef scatter_add_def{"scatter_add", infer_scatter_add, scatter_add_reference,
                                      scatter_add_derivative};
constinit const OpDef scatter_def{"scatter",          infer_scatter, scatter_reference,
                                  scatter_derivative, false,         true};
constinit const OpDef coalesce_rows_def{"coalesce_rows", infer_coalesce, coalesce_reference,
                                        nullptr};

ValueId gather(Graph& g, ValueId x, ValueId indices, std::int64_t axis) {
  return g.append(OpKind::kGather, {x, indices}, {{Attr::kAxis, axis}});
}

ValueId scatter_add(Graph& g, ValueId indices, ValueId updates, std::int64_t axis,
                    const Shape& shape) {
  return g.append(OpKind::kScatterAdd, {indices, updates},
                  {{Attr::kAxis, axis}, {Attr::kShape, ops::dims_of(shape)}});
}

ValueId scatter(Graph& g, ValueId x, ValueId indices, ValueId updates, ScatterMode mode) {
  return g.append(OpKind::kScatter, {x, indices, updates},
                  {{Attr::kMode, static_cast<std::int64_t>(mode)}});
}

CoalescedRows coalesce_rows(Graph& g, ValueId indices, ValueId updates, std::int64_t rows) {
  const ValueId first = g.append(OpKind::kCoalesceRows, {indices, updates}, {{Attr::kCount, rows}});
  return {first, Graph::result_of(first, 1)};
}

}  // namespace inkling
