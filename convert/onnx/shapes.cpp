// ONNX ops that move numbers, on tensors and on the known integers that shapes are computed with.

#include <algorithm>

#include "convert/onnx/importer.h"

namespace inkling::onnx_import {

namespace {

Integers vector_of(std::vector<std::int64_t> values) {
  const auto size = static_cast<std::int64_t>(values.size());
  return {Shape{size}, std::move(values)};
}

Result<void> constant(NodeReader& n) {
  if (const auto* value = n.attribute("value")) {
    INK_TRY(const Imported tensor, import_tensor(value->t(), n.graph()));
    return tensor.integers ? n.yield(*tensor.integers) : n.yield(tensor.tensor);
  }
  if (const auto* value = n.attribute("value_float"))
    return n.yield(n.graph().constant(Tensor::scalar(value->f())));
  if (const auto* value = n.attribute("value_int")) return n.yield(Integers{Shape{}, {value->i()}});
  if (n.attribute("value_ints")) return n.yield(vector_of(n.integers_attribute("value_ints")));
  return n.unsupported("a constant of this kind");
}

Result<void> shape_of(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const auto dims = n.shape(x).dims();
  return n.yield(vector_of({dims.begin(), dims.end()}));
}

// -1: what is left over; 0: as before.
Result<void> reshape_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  INK_TRY(auto dims, n.integers(1));
  const Shape from = n.shape(x);
  std::int64_t known = 1;
  std::ptrdiff_t rest = -1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && n.integer_attribute("allowzero", 0) == 0) {
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
    for (std::size_t i = n.shape(x).rank(); i-- > 0;)
      permutation.push_back(static_cast<std::int64_t>(i));
  }
  return n.yield(transpose(n.graph(), x, std::move(permutation)));
}

Result<void> squeeze(NodeReader& n) {
  INK_TRY(const Imported* value, n.input(0));
  if (value->integers) return n.yield(Integers{Shape{}, value->integers->values});
  const Shape from = n.shape(value->tensor);
  INK_TRY(const auto axes, n.axes(1, from.rank()));
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < from.rank(); ++i) {
    const bool named =
        std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(i)) != axes.end();
    if (named && from[i] != 1) return n.corrupt("axis ", i, " of ", from, " is not 1");
    if (!(axes.empty() ? from[i] == 1 : named)) dims.push_back(from[i]);
  }
  INK_TRY(const Shape to, shape_from(dims));
  return n.yield(reshape(n.graph(), value->tensor, to));
}

Result<void> unsqueeze(NodeReader& n) {
  INK_TRY(const Imported* value, n.input(0));
  if (value->integers) return n.yield(vector_of(value->integers->values));
  const Shape from = n.shape(value->tensor);
  const std::size_t added = n.has(1) ? n.integers(1).value_or(std::vector<std::int64_t>{}).size()
                                     : n.integers_attribute("axes").size();
  INK_TRY(auto axes, n.axes(1, from.rank() + added));
  std::sort(axes.begin(), axes.end());
  std::vector<std::int64_t> dims(from.dims().begin(), from.dims().end());
  for (const std::int64_t axis : axes) {
    if (axis > static_cast<std::int64_t>(dims.size()))
      return n.corrupt("axis ", axis, " of a result of rank ", from.rank() + added);
    dims.insert(dims.begin() + axis, 1);
  }
  INK_TRY(const Shape to, shape_from(dims));
  return n.yield(reshape(n.graph(), value->tensor, to));
}

Result<void> concat_op(NodeReader& n) {
  std::vector<ValueId> parts;
  std::vector<std::int64_t> joined;
  for (std::size_t i = 0; i < n.input_count(); ++i) {
    INK_TRY(const Imported* part, n.input(i));
    if (part->integers) {
      joined.insert(joined.end(), part->integers->values.begin(), part->integers->values.end());
    } else {
      parts.push_back(part->tensor);
    }
  }
  if (parts.empty() && n.input_count() > 0) return n.yield(vector_of(std::move(joined)));
  if (!joined.empty() || parts.empty()) return n.unsupported("integers joined with floats");
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 0), n.shape(parts[0]).rank()));
  return n.yield(concat(n.graph(), parts, static_cast<std::int64_t>(axis)));
}

// One axis of a slice: where it starts and how many elements it takes, after clipping to the size.
struct Cut {
  std::int64_t start, size;
};
Cut cut_of(std::int64_t start, std::int64_t end, std::int64_t size) {
  const auto clip = [&](std::int64_t v) {
    return std::clamp<std::int64_t>(v < 0 ? v + size : v, 0, size);
  };
  return {clip(start), std::max<std::int64_t>(clip(end) - clip(start), 0)};
}

Result<void> slice_op(NodeReader& n) {
  INK_TRY(const Imported* value, n.input(0));
  std::vector<std::int64_t> starts = n.integers_attribute("starts"),
                            ends = n.integers_attribute("ends");
  std::vector<std::int64_t> axes = n.integers_attribute("axes"), steps;
  if (n.has(1)) {
    INK_TRY(starts, n.integers(1));
    INK_TRY(ends, n.integers(2));
    if (n.has(3)) {
      INK_TRY(axes, n.integers(3));
    }
    if (n.has(4)) {
      INK_TRY(steps, n.integers(4));
    }
  }
  if (axes.empty()) {
    for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  }
  if (starts.size() != ends.size() || starts.size() != axes.size())
    return n.corrupt("starts, ends and axes of different lengths");
  if (std::any_of(steps.begin(), steps.end(), [](std::int64_t s) { return s != 1; }))
    return n.unsupported("a step other than 1");
  if (value->integers) {
    const auto& list = value->integers->values;
    if (starts.size() != 1) return n.corrupt(starts.size(), " axes of a list");
    const Cut cut = cut_of(starts[0], ends[0], static_cast<std::int64_t>(list.size()));
    return n.yield(vector_of({list.begin() + cut.start, list.begin() + cut.start + cut.size}));
  }
  const Shape from = n.shape(value->tensor);
  std::vector<std::int64_t> first(from.rank(), 0), sizes(from.dims().begin(), from.dims().end());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    INK_TRY(const std::size_t axis, n.axis(axes[i], from.rank()));
    const Cut cut = cut_of(starts[i], ends[i], from[axis]);
    first[axis] = cut.start;
    sizes[axis] = cut.size;
  }
  return n.yield(slice(n.graph(), value->tensor, std::move(first), std::move(sizes)));
}

// Picks from known integers (shapes); picking from tensors is not supported.
Result<void> gather(NodeReader& n) {
  INK_TRY(const auto list, n.integers(0));
  INK_TRY(const Imported* indices, n.input(1));
  if (!indices->integers) return n.unsupported("indices that are not known while importing");
  std::vector<std::int64_t> picked;
  for (std::int64_t index : indices->integers->values) {
    INK_TRY(const std::size_t at, n.axis(index, list.size()));
    picked.push_back(list[at]);
  }
  return n.yield(Integers{indices->integers->shape, std::move(picked)});
}

Result<void> pad_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  auto pads = n.integers_attribute("pads");
  double value = n.real_attribute("value", 0.0);
  if (n.has(1)) {
    INK_TRY(pads, n.integers(1));
  }
  if (n.has(2)) {
    INK_TRY(value, n.number(2));
  }
  const std::size_t rank = n.shape(x).rank();
  if (n.text_attribute("mode", "constant") != "constant" || value != 0.0)
    return n.unsupported("padding with other than zeros");
  if (pads.size() != 2 * rank) return n.corrupt(pads.size(), " pads for rank ", rank);
  const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(rank);
  return n.yield(pad(n.graph(), x, {pads.begin(), middle}, {middle, pads.end()}));
}

constexpr HandlerRow kRows[] = {
    {"Concat", concat_op},       {"Constant", constant},   {"Flatten", flatten},
    {"Gather", gather},          {"Pad", pad_op},          {"Reshape", reshape_op},
    {"Shape", shape_of},         {"Slice", slice_op},      {"Squeeze", squeeze},
    {"Transpose", transpose_op}, {"Unsqueeze", unsqueeze},
};

}  // namespace

std::span<const HandlerRow> shape_handlers() { return kRows; }

}  // namespace inkling::onnx_import
