// ONNX ops that pick and place elements by number: all become gather or scatter over rows, with the
// row's number computed in integers.

#include <algorithm>

#include "convert/onnx/products.h"
#include "runtime/ops/support.h"

namespace inkling::onnx_import {

namespace {

ValueId whole(Graph& g, std::int64_t value) {
  return whole_numbers(g, Shape{}, std::vector<std::int64_t>{value});
}

// Indices as i64, negative ones counted from the end of an axis of that size.
ValueId from_front(Graph& g, ValueId indices, std::int64_t size) {
  const ValueId wide = cast(g, indices, DType::kI64);
  return where(g, less(g, wide, whole(g, 0)), add(g, wide, whole(g, size)), wide);
}

Result<void> gather_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  INK_TRY(const ValueId indices, n.tensor(1));
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 0), n.shape(x).rank()));
  return n.yield(gather(n.graph(), x, indices, static_cast<std::int64_t>(axis)));
}

// For each index at place i of a tensor shaped like x but for one axis: the place in x, flattened,
// of the element that it names.
Result<ValueId> flat_places(NodeReader& n, Shape x, ValueId indices, std::size_t axis) {
  const Shape shape = n.shape(indices);
  if (shape.rank() != x.rank()) return n.corrupt("indices ", shape, " into ", x);
  const auto strides = strides_of(x);
  Tensor bases = Tensor::zeros({DType::kI64, shape});
  std::vector<std::int64_t> index(x.rank(), 0);
  for (std::int64_t& base : bases.mutable_data<std::int64_t>()) {
    for (std::size_t i = 0; i < x.rank(); ++i) base += i == axis ? 0 : index[i] * strides[i];
    for (std::size_t i = x.rank(); i-- > 0 && ++index[i] == shape[i];) index[i] = 0;
  }
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (i != axis && shape[i] > x[i]) return n.corrupt("indices ", shape, " into ", x);
  }
  Graph& g = n.graph();
  const ValueId along = mul(g, from_front(g, indices, x[axis]), whole(g, strides[axis]));
  return add(g, along, g.constant(std::move(bases)));
}

Result<void> gather_elements(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  INK_TRY(const ValueId indices, n.tensor(1));
  const Shape shape = n.shape(x);
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 0), shape.rank()));
  INK_TRY(const ValueId places, flat_places(n, shape, indices, axis));
  Graph& g = n.graph();
  return n.yield(gather(g, reshape(g, x, {shape.elements()}), places, 0));
}

// Rows of x named by index tuples: the last axis of `indices` holds coordinates of axes `batch` on.
struct Tuples {
  ValueId rows;  // i64[..]: the number of the row in x cut to [rows, inner]
  Shape cut;     // x as [rows, inner...]
  Shape inner;   // what one tuple names
};

Result<Tuples> tuples_of(NodeReader& n, Shape x, ValueId indices, std::size_t batch) {
  const Shape shape = n.shape(indices);
  if (shape.rank() <= batch || x.rank() <= batch) return n.corrupt("indices ", shape, " into ", x);
  const std::int64_t depth = shape.back();
  if (depth < 1 || batch + static_cast<std::size_t>(depth) > x.rank())
    return n.corrupt("tuples of ", depth, " into ", x);
  const std::size_t last = batch + static_cast<std::size_t>(depth);
  std::vector<std::int64_t> sizes, strides, cut{1};
  for (std::size_t i = 0; i < last; ++i) cut[0] *= x[i];
  for (std::size_t i = last; i < x.rank(); ++i) cut.push_back(x[i]);
  std::int64_t named = 1;
  for (std::size_t i = last; i-- > batch; named *= x[i]) {
    sizes.insert(sizes.begin(), x[i]);
    strides.insert(strides.begin(), named);
  }
  Graph& g = n.graph();
  const ValueId wide = cast(g, indices, DType::kI64);
  const ValueId front =
      where(g, less(g, wide, whole(g, 0)), add(g, wide, whole_numbers(g, sizes)), wide);
  const std::size_t axis = shape.rank() - 1;
  ValueId rows = sum_to(g, mul(g, front, whole_numbers(g, strides)), shape.with(axis, 1));
  rows = reshape(g, rows, without(shape, axis));
  std::vector<std::int64_t> lead(shape.rank() - 1, 1);
  std::int64_t batches = 1;
  for (std::size_t i = 0; i < batch; ++i) {
    if (shape[i] != x[i]) return n.corrupt("indices ", shape, " into ", x);
    lead[i] = shape[i];
    batches *= shape[i];
  }
  if (batch > 0) {
    auto starts = counting(batches);
    for (std::int64_t& start : starts) start *= named;
    rows = add(g, rows, whole_numbers(g, shape_or_latch(g, lead), starts));
  }
  INK_TRY(const Shape cut_shape, shape_from(cut));
  return Tuples{rows, cut_shape, without(cut_shape, 0)};
}

Result<void> gather_nd(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  INK_TRY(const ValueId indices, n.tensor(1));
  const std::int64_t batch = n.integer_attribute("batch_dims", 0);
  if (batch < 0 || batch > static_cast<std::int64_t>(kRankMax))
    return n.corrupt("batch_dims ", batch);
  INK_TRY(const Tuples t, tuples_of(n, n.shape(x), indices, static_cast<std::size_t>(batch)));
  Graph& g = n.graph();
  return n.yield(gather(g, reshape(g, x, t.cut), t.rows, 0));
}

// Writes or combines rows of x, [rows, inner...].
Result<ValueId> scattered(NodeReader& n, ValueId x, ValueId rows, ValueId updates) {
  Graph& g = n.graph();
  const std::string how = n.text_attribute("reduction", "none");
  if (how == "none") return scatter(g, x, rows, updates, ScatterMode::kSet);
  if (how == "add") return add(g, x, scatter_add(g, rows, updates, 0, n.shape(x)));
  if (how == "mul") return scatter(g, x, rows, updates, ScatterMode::kMul);
  if (how == "max") return scatter(g, x, rows, updates, ScatterMode::kMax);
  if (how == "min") return scatter(g, x, rows, updates, ScatterMode::kMin);
  return n.corrupt("reduction ", how);
}

Result<ValueId> scatter_operand(NodeReader& n, std::size_t i) {
  return n.text_attribute("reduction", "none") == "none" ? n.tensor(i) : n.number(i);
}

Result<void> scatter_elements(NodeReader& n) {
  INK_TRY(const ValueId x, scatter_operand(n, 0));
  INK_TRY(const ValueId indices, n.tensor(1));
  INK_TRY(const ValueId updates, scatter_operand(n, 2));
  const Shape shape = n.shape(x), picked = n.shape(indices);
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 0), shape.rank()));
  INK_TRY(const ValueId places, flat_places(n, shape, indices, axis));
  Graph& g = n.graph();
  const Shape flat{picked.elements()};
  if (n.shape(updates) != picked) return n.corrupt("updates ", n.shape(updates), " for ", picked);
  INK_TRY(const ValueId y, scattered(n, reshape(g, x, {shape.elements()}), reshape(g, places, flat),
                                     reshape(g, updates, flat)));
  return n.yield(reshape(g, y, shape));
}

Result<void> scatter_nd(NodeReader& n) {
  INK_TRY(const ValueId x, scatter_operand(n, 0));
  INK_TRY(const ValueId indices, n.tensor(1));
  INK_TRY(const ValueId updates, scatter_operand(n, 2));
  const Shape shape = n.shape(x);
  INK_TRY(const Tuples t, tuples_of(n, shape, indices, 0));
  Graph& g = n.graph();
  INK_TRY(const ValueId y, scattered(n, reshape(g, x, t.cut), t.rows, updates));
  return n.yield(reshape(g, y, shape));
}

Result<void> one_hot(NodeReader& n) {
  INK_TRY(const ValueId given, n.number(0));
  INK_TRY(const double depth, n.real(1));
  INK_TRY(const ValueId values, n.tensor(2));
  if (n.shape(values) != Shape{2}) return n.corrupt("values ", n.shape(values), ", expected [2]");
  if (!(depth >= 1 && depth <= 1 << 24)) return n.corrupt("a depth of ", depth);
  Graph& g = n.graph();
  const Shape shape = n.shape(given);
  std::int64_t axis = n.integer_attribute("axis", -1);
  if (axis == -1) axis = static_cast<std::int64_t>(shape.rank());
  INK_TRY(const std::size_t at, n.axis(axis, shape.rank() + 1));
  const auto count = static_cast<std::int64_t>(depth);
  std::vector<std::int64_t> dims(shape.dims().begin(), shape.dims().end());
  dims.push_back(1);
  INK_TRY(const Shape column, shape_from(dims));
  const ValueId hot =
      equal(g, reshape(g, from_front(g, given, count), column), whole_numbers(g, counting(count)));
  const ValueId off = reshape(g, slice(g, values, {0}, {1}), Shape{});
  const ValueId on = reshape(g, slice(g, values, {1}, {1}), Shape{});
  return n.yield(axis_from_back(g, where(g, hot, on, off), at));
}

// Turns the first lengths[b] entries of each sequence around.
Result<void> reverse_sequence(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  INK_TRY(const ValueId lengths, n.tensor(1));
  const std::int64_t batch_axis = n.integer_attribute("batch_axis", 1);
  const std::int64_t time_axis = n.integer_attribute("time_axis", 0);
  if (n.shape(x).rank() < 2 || batch_axis + time_axis != 1 || batch_axis * time_axis != 0)
    return n.corrupt("axes ", batch_axis, " and ", time_axis);
  Graph& g = n.graph();
  const ValueId rows = batch_axis == 0 ? x : swap_axes(g, x, 0, 1);
  const Shape shape = n.shape(rows);
  const std::int64_t batch = shape[0], time = shape[1];
  if (n.shape(lengths) != Shape{batch}) return n.corrupt("lengths ", n.shape(lengths));
  const ValueId length = reshape(g, cast(g, lengths, DType::kI64), {batch, 1});
  const ValueId at = whole_numbers(g, counting(time));
  const ValueId turned = sub(g, sub(g, length, whole(g, 1)), at);
  auto starts = counting(batch);
  for (std::int64_t& start : starts) start *= time;
  const ValueId places =
      add(g, where(g, less(g, at, length), turned, at), whole_numbers(g, Shape{batch, 1}, starts));
  const Shape flat = without(shape, 0).with(0, batch * time);
  const ValueId y = gather(g, reshape(g, rows, flat), places, 0);
  return n.yield(batch_axis == 0 ? y : swap_axes(g, y, 0, 1));
}

constexpr HandlerRow kRows[] = {
    {"Gather", gather_op},
    {"GatherElements", gather_elements},
    {"GatherND", gather_nd},
    {"OneHot", one_hot},
    {"ReverseSequence", reverse_sequence},
    {"Scatter", scatter_elements},
    {"ScatterElements", scatter_elements},
    {"ScatterND", scatter_nd},
};

}  // namespace

std::span<const HandlerRow> indexing_handlers() { return kRows; }

}  // namespace inkling::onnx_import
