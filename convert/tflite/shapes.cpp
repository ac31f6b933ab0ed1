// TensorFlow Lite ops that move numbers without changing them, and resizing.

#include <algorithm>
#include <array>
#include <cmath>

#include "convert/tflite/importer.h"

namespace inkling::tflite_import {

namespace {

using Integers = std::vector<std::int64_t>;

Result<void> reshape_to(OpReader& n, ValueId x, Integers dims) {
  const std::int64_t elements = n.shape(x).elements();
  const auto open = std::find(dims.begin(), dims.end(), -1);
  if (open != dims.end()) {
    std::int64_t others = 1;
    for (const std::int64_t d : dims) {
      if (d != -1 && (d < 0 || __builtin_mul_overflow(others, d, &others)))
        return n.corrupt("a size of ", d);
    }
    if (others == 0 || elements % others != 0)
      return n.corrupt(n.shape(x), " does not fill rows of ", others);
    *open = elements / others;
  }
  const auto shape = Shape::from(dims);
  if (!shape) return n.corrupt(shape.error().message);
  return n.yield(reshape(n.graph(), x, *shape));
}

Result<void> import_reshape(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  if (n.has(1)) {
    INK_TRY(Integers dims, n.integers(1));
    return reshape_to(n, x, std::move(dims));
  }
  INK_TRY(const auto* o, n.options<tflite::ReshapeOptions>());
  if (o->new_shape() == nullptr) return n.corrupt("no shape");
  return reshape_to(n, x, Integers(o->new_shape()->begin(), o->new_shape()->end()));
}

Result<void> squeeze(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(const auto* o, n.options<tflite::SqueezeOptions>());
  const Shape from = n.shape(x);
  std::vector<bool> gone(from.rank());
  const bool listed = o->squeeze_dims() != nullptr && o->squeeze_dims()->size() > 0;
  for (std::size_t i = 0; listed && i < o->squeeze_dims()->size(); ++i) {
    INK_TRY(const std::size_t axis,
            n.axis(o->squeeze_dims()->Get(static_cast<flatbuffers::uoffset_t>(i)), from.rank()));
    gone[axis] = true;
  }
  Integers dims;
  for (std::size_t axis = 0; axis < from.rank(); ++axis) {
    if (listed ? !gone[axis] : from[axis] != 1) dims.push_back(from[axis]);
  }
  return reshape_to(n, x, std::move(dims));
}

Result<void> expand_dims(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(const Integers axes, n.integers(1));
  const Shape from = n.shape(x);
  if (axes.size() != 1) return n.corrupt(axes.size(), " axes");
  INK_TRY(const std::size_t axis, n.axis(axes[0], from.rank() + 1));
  Integers dims(from.dims().begin(), from.dims().end());
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  return reshape_to(n, x, std::move(dims));
}

Result<void> import_transpose(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(Integers permutation, n.integers(1));
  return n.yield(transpose(n.graph(), x, std::move(permutation)));
}

// rows of [before, after]
Result<void> import_pad(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(const Integers pads, n.integers(1));
  const std::size_t rank = n.shape(x).rank();
  if (pads.size() != 2 * rank) return n.corrupt(pads.size(), " paddings for ", n.shape(x));
  if (n.has(2)) return n.unsupported("a value to pad with");
  Integers before, after;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    before.push_back(pads[2 * axis]);
    after.push_back(pads[2 * axis + 1]);
  }
  return n.yield(pad(n.graph(), x, std::move(before), std::move(after)));
}

Result<void> import_slice(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(Integers starts, n.integers(1));
  INK_TRY(Integers sizes, n.integers(2));
  const Shape from = n.shape(x);
  if (starts.size() != from.rank() || sizes.size() != from.rank())
    return n.corrupt(starts.size(), " starts for ", from);
  for (std::size_t axis = 0; axis < from.rank(); ++axis) {
    if (sizes[axis] == -1) sizes[axis] = from[axis] - starts[axis];
  }
  return n.yield(slice(n.graph(), x, std::move(starts), std::move(sizes)));
}

Result<void> strided_slice(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(Integers begins, n.integers(1));
  INK_TRY(const Integers ends, n.integers(2));
  INK_TRY(const Integers strides, n.integers(3));
  INK_TRY(const auto* o, n.options<tflite::StridedSliceOptions>());
  const Shape from = n.shape(x);
  if (o->ellipsis_mask() != 0 || o->new_axis_mask() != 0)
    return n.unsupported("an ellipsis or new axis");
  if (begins.size() > from.rank() || ends.size() != begins.size() ||
      strides.size() != begins.size())
    return n.corrupt(begins.size(), " begins for ", from);
  Integers starts(from.rank()), sizes(from.dims().begin(), from.dims().end()), kept;
  for (std::size_t axis = 0; axis < from.rank(); ++axis) {
    const auto bit = std::int32_t{1} << axis;
    const bool given = axis < begins.size(), shrinks = given && (o->shrink_axis_mask() & bit) != 0;
    if (given) {
      if (strides[axis] != 1) return n.unsupported("steps of ", strides[axis]);
      const std::int64_t size = from[axis];
      const auto place = [&](std::int64_t v) {
        return std::clamp<std::int64_t>(v < 0 ? v + size : v, 0, size);
      };
      const std::int64_t begin = (o->begin_mask() & bit) != 0 ? 0 : place(begins[axis]);
      const std::int64_t end = shrinks                      ? begin + 1
                               : (o->end_mask() & bit) != 0 ? size
                                                            : place(ends[axis]);
      starts[axis] = begin;
      sizes[axis] = std::max<std::int64_t>(end - begin, 0);
    }
    if (!shrinks) kept.push_back(sizes[axis]);
  }
  const ValueId part = slice(n.graph(), x, std::move(starts), std::move(sizes));
  return kept.size() == from.rank() ? n.yield(part) : reshape_to(n, part, std::move(kept));
}

Result<void> concatenation(OpReader& n) {
  std::vector<ValueId> parts;
  for (std::size_t i = 0; i < n.input_count(); ++i) {
    INK_TRY(parts.emplace_back(), n.input(i));
  }
  if (parts.empty()) return n.corrupt("nothing to join");
  INK_TRY(const auto* o, n.options<tflite::ConcatenationOptions>());
  INK_TRY(const std::size_t axis, n.axis(o->axis(), n.shape(parts[0]).rank()));
  return n.yield_activated(concat(n.graph(), parts, static_cast<std::int64_t>(axis)),
                           o->activation());
}

Result<void> split_into(OpReader& n, ValueId x, std::size_t axis, const Integers& parts) {
  const Shape from = n.shape(x);
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Integers starts(from.rank()), sizes(from.dims().begin(), from.dims().end());
    starts[axis] = begin;
    sizes[axis] = parts[i];
    begin += parts[i];
    INK_CHECK_OK(n.yield(i, slice(n.graph(), x, std::move(starts), std::move(sizes))));
  }
  return {};
}

Result<void> split(OpReader& n) {
  INK_TRY(const Integers axes, n.integers(0));
  INK_TRY(const ValueId x, n.input(1));
  const Shape from = n.shape(x);
  if (axes.size() != 1) return n.corrupt(axes.size(), " axes");
  INK_TRY(const std::size_t axis, n.axis(axes[0], from.rank()));
  const auto count = static_cast<std::int64_t>(n.output_count());
  if (count == 0 || from[axis] % count != 0) return n.corrupt(from, " into ", count, " parts");
  return split_into(n, x, axis, Integers(n.output_count(), from[axis] / count));
}

Result<void> pack(OpReader& n) {
  INK_TRY(const auto* o, n.options<tflite::PackOptions>());
  std::vector<ValueId> parts;
  std::size_t axis = 0;
  for (std::size_t i = 0; i < n.input_count(); ++i) {
    INK_TRY(const ValueId x, n.input(i));
    const Shape from = n.shape(x);
    INK_TRY(axis, n.axis(o->axis(), from.rank() + 1));
    Integers dims(from.dims().begin(), from.dims().end());
    dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), 1);
    INK_TRY(const Shape shape, Shape::from(dims));
    parts.push_back(reshape(n.graph(), x, shape));
  }
  if (parts.empty()) return n.corrupt("nothing to pack");
  return n.yield(concat(n.graph(), parts, static_cast<std::int64_t>(axis)));
}

Result<void> import_gather(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(const ValueId indices, n.input(1));
  INK_TRY(const auto* o, n.options<tflite::GatherOptions>());
  if (o->batch_dims() != 0) return n.unsupported("batch dimensions");
  INK_TRY(const std::size_t axis, n.axis(o->axis(), n.shape(x).rank()));
  return n.yield(gather(n.graph(), x, indices, static_cast<std::int64_t>(axis)));
}

Result<void> shape_of_input(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  const Shape shape = n.shape(x);
  std::vector<std::int32_t> dims;
  for (const std::int64_t d : shape.dims()) dims.push_back(static_cast<std::int32_t>(d));
  return n.yield(n.graph().constant(Tensor::from<std::int32_t>(
      {static_cast<std::int64_t>(dims.size())}, std::span<const std::int32_t>(dims))));
}

// The block size: of output channels, found from the shapes of the file.
Result<void> depth_to_space(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(const Shape out, n.output_shape());
  const Shape s = n.shape(x);
  if (s.rank() != 4 || out.rank() != 4 || s[1] == 0 || out[1] % s[1] != 0)
    return n.corrupt(s, " to ", out);
  const std::int64_t b = out[1] / s[1];
  if (b < 1 || s[3] % (b * b) != 0) return n.corrupt(s, " with blocks of ", b);
  Graph& g = n.graph();
  const std::int64_t channels = s[3] / (b * b);
  const ValueId split = reshape(g, x, {s[0], s[1], s[2], b, b, channels});
  return n.yield(
      reshape(g, transpose(g, split, {0, 1, 3, 2, 4, 5}), {s[0], s[1] * b, s[2] * b, channels}));
}

// One axis: each output is a mixture of two inputs.
ValueId interpolate(Graph& g, ValueId x, std::size_t axis, std::int64_t out, bool align_corners,
                    bool half_pixel) {
  const Shape from = g.shape(x);
  const std::int64_t in = from[axis];
  if (in == out) return x;
  const double ratio = align_corners && out > 1
                           ? static_cast<double>(in - 1) / static_cast<double>(out - 1)
                           : static_cast<double>(in) / static_cast<double>(out);
  std::vector<std::int64_t> low, high;
  std::vector<float> share;  // of `high`
  for (std::int64_t i = 0; i < out; ++i) {
    const double place = half_pixel ? std::max(0.0, (static_cast<double>(i) + 0.5) * ratio - 0.5)
                                    : static_cast<double>(i) * ratio;
    const auto floor_place = static_cast<std::int64_t>(place);
    low.push_back(std::min(floor_place, in - 1));
    high.push_back(std::min(floor_place + 1, in - 1));
    share.push_back(static_cast<float>(place - static_cast<double>(floor_place)));
  }
  const auto taken = [&](const std::vector<std::int64_t>& places) {
    const ValueId indices =
        g.constant(Tensor::from<std::int64_t>({out}, std::span<const std::int64_t>(places)));
    return gather(g, x, indices, static_cast<std::int64_t>(axis));
  };
  Integers ones(from.rank(), 1);
  ones[axis] = out;
  const ValueId w =
      g.constant(Tensor::from<float>(*Shape::from(ones), std::span<const float>(share)));
  const ValueId a = taken(low);
  return add(g, a, mul(g, sub(g, taken(high), a), w));
}

Result<void> resize_bilinear(OpReader& n) {
  INK_TRY(ValueId x, n.input(0));
  INK_TRY(const Integers size, n.integers(1));
  INK_TRY(const auto* o, n.options<tflite::ResizeBilinearOptions>());
  if (n.shape(x).rank() != 4 || n.shape(x).elements() == 0 || size.size() != 2)
    return n.corrupt(n.shape(x), " to ", size.size(), " sizes");
  for (std::size_t i = 0; i < 2; ++i) {
    if (size[i] < 1 || size[i] > 65536) return n.corrupt("a size of ", size[i]);
    x = interpolate(n.graph(), x, i + 1, size[i], o->align_corners(), o->half_pixel_centers());
  }
  return n.yield(x);
}

constexpr HandlerRow kRows[] = {
    {2, "CONCATENATION", concatenation},
    {5, "DEPTH_TO_SPACE", depth_to_space},
    {22, "RESHAPE", import_reshape},
    {23, "RESIZE_BILINEAR", resize_bilinear},
    {34, "PAD", import_pad},
    {36, "GATHER", import_gather},
    {39, "TRANSPOSE", import_transpose},
    {43, "SQUEEZE", squeeze},
    {45, "STRIDED_SLICE", strided_slice},
    {49, "SPLIT", split},
    {65, "SLICE", import_slice},
    {70, "EXPAND_DIMS", expand_dims},
    {77, "SHAPE", shape_of_input},
    {83, "PACK", pack},
};

}  // namespace

std::span<const HandlerRow> shape_handlers() { return kRows; }

}  // namespace inkling::tflite_import
