// ONNX ops that make tensors, and that move elements without looking at them.

#include <algorithm>
#include <cmath>

#include "convert/onnx/products.h"
#include "runtime/ops/support.h"

namespace inkling::onnx_import {

namespace {

inline constexpr std::int64_t kMadeElementsMax = 1 << 24;  // of a tensor that a node makes

Result<void> constant(NodeReader& n) {
  Graph& g = n.graph();
  if (const auto* value = n.attribute("value")) {
    INK_TRY(const ValueId tensor, n.importer().constant(value->t()));
    return n.yield(tensor);
  }
  if (const auto* value = n.attribute("value_float"))
    return n.yield(g.constant(Tensor::scalar(value->f())));
  if (const auto* value = n.attribute("value_int"))
    return n.yield(whole_numbers(g, Shape{}, std::vector<std::int64_t>{value->i()}));
  if (n.attribute("value_ints"))
    return n.yield(whole_numbers(g, n.integers_attribute("value_ints")));
  if (n.attribute("value_floats")) {
    const auto values = n.reals_attribute("value_floats");
    const std::vector<float> list(values.begin(), values.end());
    return n.yield_constant<float>(Shape{static_cast<std::int64_t>(list.size())}, list);
  }
  return n.unsupported("a constant of strings or in sparse form");
}

Result<void> constant_of_shape(NodeReader& n) {
  INK_TRY(const auto dims, n.integers(0));
  INK_TRY(const Shape shape, shape_from(dims));
  Graph& g = n.graph();
  ValueId value = scalar_of(g, DType::kF32, 0.0);
  if (const auto* given = n.attribute("value")) {
    INK_TRY(value, n.importer().constant(given->t()));
    if (n.shape(value).elements() != 1) return n.corrupt("a value ", n.shape(value));
  }
  return n.yield(broadcast_to(g, reshape(g, value, Shape{}), shape));
}

Result<void> shape_of(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const auto dims = n.shape(x).dims();
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto clip = [rank](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::int64_t start = clip(n.integer_attribute("start", 0));
  const std::int64_t end = std::max(clip(n.integer_attribute("end", rank)), start);
  return n.yield(whole_numbers(
      n.graph(), std::vector<std::int64_t>(dims.begin() + start, dims.begin() + end)));
}

Result<void> size_of(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const std::vector<std::int64_t> count{n.shape(x).elements()};
  return n.yield(whole_numbers(n.graph(), Shape{}, count));
}

// -1: what is left over; 0: as before.
Result<void> reshape_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  std::vector<std::int64_t> dims = n.integers_attribute("shape");
  if (n.opset() >= 5) {
    INK_TRY(dims, n.integers(1));
  }
  const Shape from = n.shape(x);
  std::int64_t known = 1;
  std::ptrdiff_t rest = -1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && !n.flag("allowzero")) {
      if (i >= from.rank())
        return n.corrupt("axis ", i, " copies a size that ", from, " does not have");
      dims[i] = from[i];
    }
    if (dims[i] == -1 && rest < 0) {
      rest = static_cast<std::ptrdiff_t>(i);
    } else if (dims[i] < 0 || __builtin_mul_overflow(known, dims[i], &known)) {
      return n.corrupt("a size of ", dims[i], " at axis ", i);
    }
  }
  if (rest >= 0) {
    if (known == 0 || from.elements() % known != 0)
      return n.corrupt(from, " cannot be cut into rows of ", known);
    dims[static_cast<std::size_t>(rest)] = from.elements() / known;
  }
  INK_TRY(const Shape to, shape_from(dims));
  return n.yield(reshape(n.graph(), x, to));
}

Result<void> flatten(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const Shape from = n.shape(x);
  const std::int64_t axis = n.integer_attribute("axis", 1);
  const auto rank = static_cast<std::int64_t>(from.rank());
  if (axis < -rank || axis > rank) return n.corrupt("axis ", axis, " of ", from);
  std::int64_t rows = 1, columns = 1;
  for (std::int64_t i = 0; i < rank; ++i)
    (i < (axis < 0 ? axis + rank : axis) ? rows : columns) *= from[static_cast<std::size_t>(i)];
  return n.yield(reshape(n.graph(), x, {rows, columns}));
}

Result<void> transpose_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  auto permutation = n.integers_attribute("perm");
  if (permutation.empty()) {
    permutation = counting(static_cast<std::int64_t>(n.shape(x).rank()));
    std::reverse(permutation.begin(), permutation.end());
  }
  return n.yield(transpose(n.graph(), x, std::move(permutation)));
}

Result<void> squeeze(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const Shape from = n.shape(x);
  INK_TRY(const auto axes, n.axes(1, from.rank()));
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < from.rank(); ++i) {
    const bool named = std::binary_search(axes.begin(), axes.end(), static_cast<std::int64_t>(i));
    if (named && from[i] != 1) return n.corrupt("axis ", i, " of ", from, " is not 1");
    if (!(axes.empty() ? from[i] == 1 : named)) dims.push_back(from[i]);
  }
  INK_TRY(const Shape to, shape_from(dims));
  return n.yield(reshape(n.graph(), x, to));
}

Result<void> unsqueeze(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const Shape from = n.shape(x);
  std::size_t added = n.integers_attribute("axes").size();
  if (n.has(1)) {
    INK_TRY(const auto given, n.integers(1));
    added = given.size();
  }
  INK_TRY(const auto axes, n.axes(1, from.rank() + added));
  std::vector<std::int64_t> dims(from.dims().begin(), from.dims().end());
  for (const std::int64_t axis : axes) dims.insert(dims.begin() + axis, 1);
  INK_TRY(const Shape to, shape_from(dims));
  return n.yield(reshape(n.graph(), x, to));
}

Result<void> concat_op(NodeReader& n) {
  std::vector<ValueId> parts;
  for (std::size_t i = 0; i < n.input_count(); ++i) {
    INK_TRY(parts.emplace_back(), n.tensor(i));
  }
  if (parts.empty()) return n.corrupt("no inputs");
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 1), n.shape(parts[0]).rank()));
  return n.yield(concat(n.graph(), parts, static_cast<std::int64_t>(axis)));
}

Result<void> slice_op(NodeReader& n) {
  INK_TRY(ValueId x, n.tensor(0));
  std::vector<std::int64_t> starts = n.integers_attribute("starts"),
                            ends = n.integers_attribute("ends");
  std::vector<std::int64_t> axes = n.integers_attribute("axes"), steps;
  if (n.opset() >= 10) {
    INK_TRY(starts, n.integers(1));
    INK_TRY(ends, n.integers(2));
    if (n.has(3)) {
      INK_TRY(axes, n.integers(3));
    }
    if (n.has(4)) {
      INK_TRY(steps, n.integers(4));
    }
  }
  if (axes.empty()) axes = counting(static_cast<std::int64_t>(starts.size()));
  steps.resize(steps.empty() ? starts.size() : steps.size(), 1);
  if (starts.size() != ends.size() || starts.size() != axes.size() || steps.size() != axes.size())
    return n.corrupt("starts, ends, axes and steps of different lengths");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    INK_TRY(const std::size_t axis, n.axis(axes[i], n.shape(x).rank()));
    const std::int64_t size = n.shape(x)[axis], step = steps[i];
    if (step == 0 || step == INT64_MIN) return n.corrupt("a step of ", step);
    // Counted from the front and clipped: forwards to [0, size], backwards to [-1, size - 1].
    const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    const auto clip = [&](std::int64_t at) {
      return std::clamp(at < 0 ? at + size : at, low, std::max(low, high));
    };
    const std::int64_t start = clip(starts[i]), end = clip(ends[i]);
    const std::int64_t way = step > 0 ? end - start : start - end, stride = std::abs(step);
    const std::int64_t count = way <= 0 ? 0 : (way - 1) / stride + 1;
    x = every(n.graph(), x, axis, count == 0 ? 0 : start, count <= 1 ? 1 : step, count);
    INK_CHECK_OK(n.graph().status());
  }
  return n.yield(x);
}

// The element of an axis of n that stands at place `at` when the axis is continued outside.
std::int64_t reflected(std::int64_t at, std::int64_t n) {
  const std::int64_t period = std::max<std::int64_t>(2 * (n - 1), 1);
  const std::int64_t inside = ((at % period) + period) % period;
  return std::min(inside, period - inside) % n;
}

Result<void> pad_op(NodeReader& n) {
  INK_TRY(ValueId x, n.tensor(0));
  auto pads = n.integers_attribute(n.opset() < 2 ? "paddings" : "pads");
  double value = n.real_attribute("value", 0.0);
  if (n.has(1)) {
    INK_TRY(pads, n.integers(1));
  }
  if (n.has(2)) {
    INK_TRY(value, n.real(2));
  }
  if (value != 0.0) {
    INK_TRY(x, n.number(0));
  }
  const Shape from = n.shape(x);
  std::vector<std::int64_t> axes = counting(static_cast<std::int64_t>(from.rank()));
  if (n.has(3)) {
    INK_TRY(axes, n.integers(3));
  }
  if (pads.size() != 2 * axes.size()) return n.corrupt(pads.size(), " pads for ", from);
  std::vector<std::int64_t> before(from.rank(), 0), after(from.rank(), 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    INK_TRY(const std::size_t axis, n.axis(axes[i], from.rank()));
    before[axis] = pads[i];
    after[axis] = pads[axes.size() + i];
  }
  Graph& g = n.graph();
  const std::string mode = n.text_attribute("mode", "constant");
  for (std::size_t i = 0; i < from.rank(); ++i) {
    constexpr std::int64_t kPadMax = kMadeElementsMax;
    const std::int64_t size = from[i];
    if (std::max(before[i], after[i]) > kPadMax || std::min(before[i], after[i]) < -size ||
        before[i] + after[i] + size < 0)
      return n.corrupt("pads ", before[i], " and ", after[i], " of axis ", i, " of ", from);
    // Negative pads cut.
    const std::int64_t cut = std::max<std::int64_t>(-before[i], 0);
    const std::int64_t kept = size - cut - std::max<std::int64_t>(-after[i], 0);
    if (kept != size) {
      x = every(g, x, i, cut, 1, kept);
      before[i] = std::max<std::int64_t>(before[i], 0);
      after[i] = std::max<std::int64_t>(after[i], 0);
    }
    if (mode == "constant" || (before[i] == 0 && after[i] == 0)) continue;
    if (kept == 0) return n.corrupt("an empty axis cannot be continued");
    std::vector<std::int64_t> places;
    for (std::int64_t at = -before[i]; at < kept + after[i]; ++at) {
      if (mode == "edge") {
        places.push_back(std::clamp<std::int64_t>(at, 0, kept - 1));
      } else if (mode == "reflect") {
        places.push_back(reflected(at, kept));
      } else {
        return n.unsupported("mode ", mode);
      }
    }
    x = gather(g, x, whole_numbers(g, places), static_cast<std::int64_t>(i));
  }
  if (mode != "constant") return n.yield(x);
  return n.yield(pad(g, x, std::move(before), std::move(after), value));
}

Result<void> split_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const Shape from = n.shape(x);
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 0), from.rank()));
  std::vector<std::int64_t> sizes = n.integers_attribute("split");
  if (n.has(1)) {
    INK_TRY(sizes, n.integers(1));
  }
  const auto parts = static_cast<std::int64_t>(n.output_count());
  if (sizes.empty() && parts > 0) {
    const std::int64_t each = (from[axis] + parts - 1) / parts;
    for (std::int64_t i = 0; i < parts; ++i)
      sizes.push_back(std::clamp<std::int64_t>(from[axis] - i * each, 0, each));
  }
  if (static_cast<std::int64_t>(sizes.size()) != parts)
    return n.corrupt(sizes.size(), " sizes for ", parts, " parts");
  std::int64_t start = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0 || sizes[i] > from[axis] - start)
      return n.corrupt("part ", i, " of ", sizes[i], " reaches outside ", from);
    std::vector<std::int64_t> starts(from.rank(), 0);
    starts[axis] = start;
    std::vector<std::int64_t> dims(from.dims().begin(), from.dims().end());
    dims[axis] = sizes[i];
    INK_CHECK_OK(n.yield(i, slice(n.graph(), x, std::move(starts), std::move(dims))));
    start += sizes[i];
  }
  if (start != from[axis])
    return n.corrupt("parts of ", start, " in all, axis ", axis, " of ", from);
  return {};
}

Result<void> expand(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  INK_TRY(const auto dims, n.integers(1));
  INK_TRY(const Shape given, shape_from(dims));
  const auto shape = ops::broadcast_shape(n.shape(x), given);
  if (!shape) return n.corrupt(shape.error().message);
  return n.yield(broadcast_to(n.graph(), x, *shape));
}

Result<void> tile(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  INK_TRY(const auto repeats, n.integers(1));
  const Shape from = n.shape(x);
  if (repeats.size() != from.rank()) return n.corrupt(repeats.size(), " repeats for ", from);
  // [d] becomes [1, d], repeated to [r, d].
  std::vector<std::int64_t> cut, wide, joined;
  for (std::size_t i = 0; i < from.rank(); ++i) {
    if (repeats[i] < 0 || repeats[i] > kMadeElementsMax)
      return n.corrupt("repeat ", repeats[i], " of axis ", i);
    if (repeats[i] != 1) {
      cut.push_back(1);
      wide.push_back(repeats[i]);
    }
    cut.push_back(from[i]);
    wide.push_back(from[i]);
    joined.push_back(repeats[i] * from[i]);
  }
  INK_TRY(const Shape cut_shape, shape_from(cut));
  INK_TRY(const Shape wide_shape, shape_from(wide));
  INK_TRY(const Shape joined_shape, shape_from(joined));
  Graph& g = n.graph();
  return n.yield(reshape(g, broadcast_to(g, reshape(g, x, cut_shape), wide_shape), joined_shape));
}

Result<void> depth_to_space(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const Shape s = n.shape(x);
  const std::int64_t b = n.integer_attribute("blocksize", 0);
  if (s.rank() != 4 || b < 1 || b > 4096 || s[1] % (b * b) != 0)
    return n.corrupt("blocks of ", b, " of ", s);
  Graph& g = n.graph();
  const std::int64_t c = s[1] / (b * b);
  const bool columns_last = n.text_attribute("mode", "DCR") == "CRD";
  const ValueId cut = reshape(
      g, x, columns_last ? Shape{s[0], c, b, b, s[2], s[3]} : Shape{s[0], b, b, c, s[2], s[3]});
  const ValueId turned = transpose(g, cut,
                                   columns_last ? std::vector<std::int64_t>{0, 1, 4, 2, 5, 3}
                                                : std::vector<std::int64_t>{0, 3, 4, 1, 5, 2});
  return n.yield(reshape(g, turned, {s[0], c, s[2] * b, s[3] * b}));
}

Result<void> space_to_depth(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const Shape s = n.shape(x);
  const std::int64_t b = n.integer_attribute("blocksize", 0);
  if (s.rank() != 4 || b < 1 || b > 4096 || s[2] % b != 0 || s[3] % b != 0)
    return n.corrupt("blocks of ", b, " of ", s);
  Graph& g = n.graph();
  const ValueId cut = reshape(g, x, {s[0], s[1], s[2] / b, b, s[3] / b, b});
  return n.yield(
      reshape(g, transpose(g, cut, {0, 3, 5, 1, 2, 4}), {s[0], s[1] * b * b, s[2] / b, s[3] / b}));
}

// A made matrix of bools: is column - row within the bounds?
ValueId band(Graph& g, std::int64_t rows, std::int64_t columns, std::int64_t low,
             std::int64_t high) {
  Tensor mask = Tensor::zeros({DType::kBool, {rows, columns}});
  const auto data = mask.mutable_data<bool>();
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const std::int64_t offset = i % columns - i / columns;
    data[static_cast<std::size_t>(i)] = offset >= low && offset <= high;
  }
  return g.constant(std::move(mask));
}

Result<void> eye_like(NodeReader& n) {
  INK_TRY(const ValueId like, n.tensor(0));
  const Shape s = n.shape(like);
  if (s.rank() != 2 || s.elements() > kMadeElementsMax) return n.unsupported("a matrix ", s);
  DType type = n.dtype(like);
  if (n.attribute("dtype")) {
    INK_TRY(type, n.dtype_of(n.integer_attribute("dtype", 0)));
  }
  const std::int64_t k = n.integer_attribute("k", 0);
  return n.yield(cast(n.graph(), band(n.graph(), s[0], s[1], k, k), type));
}

Result<void> trilu(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  std::int64_t k = 0;
  if (n.has(1)) {
    INK_TRY(const auto given, n.integers(1));
    if (given.size() != 1) return n.corrupt(given.size(), " diagonals, expected 1");
    k = given[0];
  }
  const Shape s = n.shape(x);
  if (s.rank() < 2 || s[s.rank() - 2] * s.back() > kMadeElementsMax)
    return n.unsupported("matrices ", s);
  Graph& g = n.graph();
  const bool upper = n.flag("upper", true);
  const ValueId kept =
      band(g, s[s.rank() - 2], s.back(), upper ? k : INT64_MIN, upper ? INT64_MAX : k);
  const ValueId zero = g.constant(Tensor::zeros({n.dtype(x), {}}));
  return n.yield(where(g, kept, x, zero));
}

Result<void> range(NodeReader& n) {
  INK_TRY(const ValueId first, n.tensor(0));
  const DType type = n.dtype(first);
  Graph& g = n.graph();
  INK_TRY(const double start, n.real(0));
  INK_TRY(const double limit, n.real(1));
  INK_TRY(const double delta, n.real(2));
  const double count = delta == 0.0 ? -1 : std::max(std::ceil((limit - start) / delta), 0.0);
  if (!(count >= 0 && count <= static_cast<double>(kMadeElementsMax)))
    return n.corrupt("from ", start, " to ", limit, " by ", delta);
  if (!is_number(type)) return n.unsupported("a range of ", dtype_name(type), "s");
  Tensor numbers = Tensor::zeros({type, {static_cast<std::int64_t>(count)}});
  ops::on_number(type, [&](auto tag) {
    using T = decltype(tag);
    T i = 0;
    const T from = static_cast<T>(start), by = static_cast<T>(delta);
    for (T& value : numbers.mutable_data<T>()) {
      value = static_cast<T>(from + i * by);
      i = static_cast<T>(i + 1);
    }
  });
  return n.yield(g.constant(std::move(numbers)));
}

constexpr HandlerRow kRows[] = {
    {"Concat", concat_op},
    {"Constant", constant},
    {"ConstantOfShape", constant_of_shape},
    {"DepthToSpace", depth_to_space},
    {"Expand", expand},
    {"EyeLike", eye_like},
    {"Flatten", flatten},
    {"Pad", pad_op},
    {"Range", range},
    {"Reshape", reshape_op},
    {"Shape", shape_of},
    {"Size", size_of},
    {"Slice", slice_op},
    {"SpaceToDepth", space_to_depth},
    {"Split", split_op},
    {"Squeeze", squeeze},
    {"Tile", tile},
    {"Transpose", transpose_op},
    {"Trilu", trilu},
    {"Unsqueeze", unsqueeze},
};

}  // namespace

std::span<const HandlerRow> shape_handlers() { return kRows; }

}  // namespace inkling::onnx_import
