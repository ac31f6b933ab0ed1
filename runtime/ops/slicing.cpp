// Parts of a tensor and their places.
//
//   slice   y = x[start_0 .. start_0 + size_0, ...]   dx = pad(dy), to where it came from
//   pad     x surrounded by one value                 dx = slice(dy, the place of x)
//   concat  parts one after another along an axis     dpart = slice(dy, its place)

#include "runtime/ops/support.h"

namespace inkling {

namespace {

// Copies a block of `shape` between two row-major tensors that it is a part of.
template <typename T>
void copy_block(const Shape& shape, const T* from,
                const std::array<std::int64_t, kRankMax>& from_strides, T* to,
                const std::array<std::int64_t, kRankMax>& to_strides) {
  if (shape.elements() == 0) return;
  const std::int64_t run = shape.rank() == 0 ? 1 : shape.back();
  const Shape rows = shape.rank() == 0 ? shape : shape.with(shape.rank() - 1, 1);
  ops::for_each_index<2>(rows, {from_strides, to_strides}, [&](std::int64_t, const auto& at) {
    std::copy_n(from + at[0], run, to + at[1]);
  });
}

template <typename T>
T* at_start(T* data, const std::array<std::int64_t, kRankMax>& strides,
            std::span<const std::int64_t> starts) {
  for (std::size_t i = 0; i < starts.size(); ++i) data += starts[i] * strides[i];
  return data;
}

ops::Specs infer_slice(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_alike(in, 1, 1));
  const auto& starts = attrs.integers(Attr::kStarts);
  const auto& sizes = attrs.integers(Attr::kSizes);
  const Shape& x = in[0].shape;
  if (starts.size() != x.rank() || sizes.size() != x.rank()) {
    return ops::refuse(x, " with ", starts.size(), " starts and ", sizes.size(),
                       " sizes: expected one an axis");
  }
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (starts[i] < 0 || sizes[i] < 0 || starts[i] > x[i] || sizes[i] > x[i] - starts[i]) {
      return ops::refuse(x, ": elements ", starts[i], " to ", starts[i] + sizes[i], " of axis ", i,
                         " are outside");
    }
  }
  INK_TRY(const Shape shape, Shape::from(sizes));
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

void slice_reference(const KernelArgs& args) {
  ops::on_width(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto strides = strides_of(args.in[0].shape());
    copy_block<T>(args.out[0].shape(),
                  at_start(args.in[0].as<const T>(), strides, args.attrs.integers(Attr::kStarts)),
                  strides, args.out[0].as<T>(), strides_of(args.out[0].shape()));
  });
}

void slice_derivative(Adjoint& a) {
  const auto& starts = a.attrs().integers(Attr::kStarts);
  const auto& sizes = a.attrs().integers(Attr::kSizes);
  std::vector<std::int64_t> after;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    after.push_back(a.graph.shape(a.input(0))[i] - starts[i] - sizes[i]);
  }
  a.set(0, pad(a.graph, a.cotangent(), starts, std::move(after)));
}

ops::Specs infer_pad(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_alike(in, 1, 1));
  const auto& before = attrs.integers(Attr::kBefore);
  const auto& after = attrs.integers(Attr::kAfter);
  const Shape& x = in[0].shape;
  const double value = attrs.real(Attr::kValue);
  if (value != 0.0 && !ops::holds(in[0].dtype, value))
    return ops::refuse(dtype_name(in[0].dtype), " cannot be padded with ", value);
  if (before.size() != x.rank() || after.size() != x.rank()) {
    return ops::refuse(x, " with ", before.size(), " and ", after.size(),
                       " pads: expected one an axis");
  }
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (before[i] < 0 || after[i] < 0 || before[i] > kElementsMax || after[i] > kElementsMax) {
      return ops::refuse(x, ": pads ", before[i], " and ", after[i], " of axis ", i,
                         ", expected 0 to ", kElementsMax);
    }
    dims.push_back(x[i] + before[i] + after[i]);
  }
  INK_TRY(const Shape shape, Shape::from(dims));
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

void fill(const TensorView& y, double value) {
  if (is_number(y.spec.dtype)) {
    ops::on_number(y.spec.dtype, [&](auto tag) {
      std::fill_n(y.as<decltype(tag)>(), y.elements(), static_cast<decltype(tag)>(value));
    });
  } else {
    std::fill_n(y.as<std::byte>(), y.spec.bytes(), std::byte{0});
  }
}

void pad_reference(const KernelArgs& args) {
  fill(args.out[0], args.attrs.real(Attr::kValue));
  ops::on_width(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto strides = strides_of(args.out[0].shape());
    copy_block<T>(args.in[0].shape(), args.in[0].as<const T>(), strides_of(args.in[0].shape()),
                  at_start(args.out[0].as<T>(), strides, args.attrs.integers(Attr::kBefore)),
                  strides);
  });
}

void pad_derivative(Adjoint& a) {
  a.set(0, slice(a.graph, a.cotangent(), a.attrs().integers(Attr::kBefore),
                 ops::dims_of(a.graph.shape(a.input(0)))));
}

ops::Specs infer_concat(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_alike(in, 1, kNodesMax));
  const auto axis = attrs.integer(Attr::kAxis, -1);
  if (axis < 0 || axis >= static_cast<std::int64_t>(in[0].shape.rank())) {
    return ops::refuse("axis ", axis, " of ", in[0].shape);
  }
  const auto at = static_cast<std::size_t>(axis);
  std::int64_t size = 0;
  for (const TensorSpec& part : in) {
    if (part.shape.rank() != in[0].shape.rank() ||
        part.shape.with(at, 0) != in[0].shape.with(at, 0)) {
      return ops::refuse(in[0].shape, " with ", part.shape, " along axis ", axis,
                         ": other sizes differ");
    }
    size += part.shape[at];
  }
  std::vector<std::int64_t> dims = ops::dims_of(in[0].shape);
  dims[at] = size;
  INK_TRY(const Shape shape, Shape::from(dims));
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

void concat_reference(const KernelArgs& args) {
  const auto axis = static_cast<std::size_t>(args.attrs.integer(Attr::kAxis));
  ops::on_width(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto strides = strides_of(args.out[0].shape());
    T* to = args.out[0].as<T>();
    for (const TensorView& part : args.in) {
      copy_block<T>(part.shape(), part.as<const T>(), strides_of(part.shape()), to, strides);
      to += part.shape()[axis] * strides[axis];
    }
  });
}

void concat_derivative(Adjoint& a) {
  const auto axis = static_cast<std::size_t>(a.attrs().integer(Attr::kAxis));
  std::vector<std::int64_t> starts(a.graph.shape(a.input(0)).rank(), 0);
  for (std::size_t i = 0; i < a.input_count(); ++i) {
    const Shape part = a.graph.shape(a.input(i));
    if (a.wanted(i)) a.set(i, slice(a.graph, a.cotangent(), starts, ops::dims_of(part)));
    starts[axis] += part[axis];
  }
}

}  // namespace

constinit const OpDef slice_def{"slice", infer_slice, slice_reference, slice_derivative};
constinit const OpDef pad_def{"pad", infer_pad, pad_reference, pad_derivative};
constinit const OpDef concat_def{"concat", infer_concat, concat_reference, concat_derivative};

ValueId slice(Graph& g, ValueId x, std::vector<std::int64_t> starts,
              std::vector<std::int64_t> sizes) {
  return g.append(OpKind::kSlice, {x},
                  {{Attr::kStarts, std::move(starts)}, {Attr::kSizes, std::move(sizes)}});
}

ValueId pad(Graph& g, ValueId x, std::vector<std::int64_t> before, std::vector<std::int64_t> after,
            double value) {
  Attrs attrs{{Attr::kBefore, std::move(before)}, {Attr::kAfter, std::move(after)}};
  if (value != 0.0) attrs.set(Attr::kValue, value);
  return g.append(OpKind::kPad, {x}, std::move(attrs));
}

ValueId concat(Graph& g, std::span<const ValueId> parts, std::int64_t axis) {
  return g.append(OpKind::kConcat, parts, {{Attr::kAxis, axis}});
}

}  // namespace inkling
