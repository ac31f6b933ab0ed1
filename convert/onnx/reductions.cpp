// ONNX reductions and what ranks or normalises along an axis.

#include <algorithm>

#include "convert/onnx/importer.h"

namespace inkling::onnx_import {

namespace {

// What a reduction node asks for: the shape with its axes at size 1, and the shape to give.
struct Reduction {
  Shape kept, given;
  double count = 1;
  bool nothing = false;  // no axes, and the node says that this means none
};

Result<Reduction> reduction_of(NodeReader& n, Shape from) {
  INK_TRY(auto axes, n.axes(1, from.rank()));
  Reduction r{from, {}, 1, axes.empty() && n.flag("noop_with_empty_axes")};
  if (axes.empty()) axes = counting(static_cast<std::int64_t>(from.rank()));
  std::vector<std::int64_t> dropped;
  for (std::size_t i = 0; i < from.rank(); ++i) {
    if (std::binary_search(axes.begin(), axes.end(), static_cast<std::int64_t>(i))) {
      r.kept = r.kept.with(i, 1);
      r.count *= static_cast<double>(from[i]);
    } else {
      dropped.push_back(from[i]);
    }
  }
  r.given = r.kept;
  if (!n.flag("keepdims", true)) {
    INK_TRY(r.given, shape_from(dropped));
  }
  return r;
}

using Reduce = ValueId (*)(Graph&, ValueId, const Shape& kept, double count);

template <Reduce kReduce>
Result<void> reduce(NodeReader& n) {
  INK_TRY(const ValueId x, n.number(0));
  INK_TRY(const Reduction r, reduction_of(n, n.shape(x)));
  if (r.nothing) return n.yield(x);
  if (n.shape(x).elements() == 0) return n.unsupported("a reduction of nothing");
  Graph& g = n.graph();
  return n.yield(reshape(g, kReduce(g, x, r.kept, r.count), r.given));
}

ValueId sum_of(Graph& g, ValueId x, const Shape& kept, double) { return sum_to(g, x, kept); }
ValueId mean_of(Graph& g, ValueId x, const Shape& kept, double count) {
  const ValueId total = sum_to(g, x, kept);
  return is_float(g.spec(x).dtype) ? scale(g, total, 1.0 / count)
                                   : div(g, total, scalar_like(g, x, count));
}
ValueId max_of(Graph& g, ValueId x, const Shape& kept, double) { return max_to(g, x, kept); }
ValueId min_of(Graph& g, ValueId x, const Shape& kept, double) { return min_to(g, x, kept); }
ValueId prod_of(Graph& g, ValueId x, const Shape& kept, double) { return prod_to(g, x, kept); }
ValueId l1_of(Graph& g, ValueId x, const Shape& kept, double) { return sum_to(g, abs(g, x), kept); }
ValueId square_of(Graph& g, ValueId x, const Shape& kept, double) {
  return sum_to(g, mul(g, x, x), kept);
}
ValueId l2_of(Graph& g, ValueId x, const Shape& kept, double) {
  return sqrt(g, square_of(g, x, kept, 1));
}
ValueId log_of(Graph& g, ValueId x, const Shape& kept, double) {
  return log(g, sum_to(g, x, kept));
}
// Stabilised by the maximum, as softmax is.
ValueId log_exp_of(Graph& g, ValueId x, const Shape& kept, double) {
  const ValueId top = max_to(g, x, kept);
  return add(g, top, log(g, sum_to(g, exp(g, sub(g, x, top)), kept)));
}

// The place of the largest along an axis, kept at size 1. Of equals the first, or the last.
ValueId place_of_best(Graph& g, ValueId x, std::size_t axis, bool smallest, bool last) {
  ValueId rows = axis_to_back(g, x, axis);
  const Shape shape = g.shape(rows);
  const std::int64_t size = shape.rank() == 0 ? 0 : shape.back();
  const auto back = static_cast<std::int64_t>(shape.rank()) - 1;
  if (last) {
    auto reversed = counting(size);
    std::reverse(reversed.begin(), reversed.end());
    rows = gather(g, rows, whole_numbers(g, reversed), back);
  }
  ValueId place = top_k(g, rows, 1, smallest).places;
  if (last) place = sub(g, whole_numbers(g, Shape{}, std::vector<std::int64_t>{size - 1}), place);
  return axis_from_back(g, place, axis);
}

template <bool kSmallest>
Result<void> arg(NodeReader& n) {
  INK_TRY(const ValueId x, n.number(0));
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 0), n.shape(x).rank()));
  Graph& g = n.graph();
  const ValueId place = place_of_best(g, x, axis, kSmallest, n.flag("select_last_index"));
  INK_CHECK_OK(g.status());
  if (n.flag("keepdims", true)) return n.yield(place);
  return n.yield(reshape(g, place, without(n.shape(place), axis)));
}

Result<void> cumsum_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.number(0));
  INK_TRY(const auto axes, n.integers(1));
  if (axes.size() != 1) return n.corrupt(axes.size(), " axes, expected 1");
  INK_TRY(const std::size_t axis, n.axis(axes[0], n.shape(x).rank()));
  return n.yield(cumsum(n.graph(), x, static_cast<std::int64_t>(axis), n.flag("exclusive"),
                        n.flag("reverse")));
}

Result<void> top_k_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.number(0));
  std::int64_t k = n.integer_attribute("k", 0);
  if (n.opset() >= 10) {
    INK_TRY(const auto counts, n.integers(1));
    if (counts.size() != 1) return n.corrupt(counts.size(), " counts, expected 1");
    k = counts[0];
  }
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", -1), n.shape(x).rank()));
  Graph& g = n.graph();
  const TopK best = top_k(g, axis_to_back(g, x, axis), k, !n.flag("largest", true));
  INK_CHECK_OK(n.yield(0, axis_from_back(g, best.values, axis)));
  return n.yield(1, axis_from_back(g, best.places, axis));
}

ValueId hardmax_of(Graph& g, ValueId rows) {
  const Shape shape = g.shape(rows);
  if (shape.rank() == 0) return kNoValue;
  const ValueId place = place_of_best(g, rows, shape.rank() - 1, false, false);
  const ValueId all = whole_numbers(g, counting(shape.back()));
  return cast(g, equal(g, place, all), g.spec(rows).dtype);
}

// Softmax and its kin. Before opset 13 the axes from `axis` on are one; from 13 on it stands alone.
template <ValueId (*kBuild)(Graph&, ValueId)>
Result<void> soft(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  const Shape shape = n.shape(x);
  INK_TRY(const std::size_t axis,
          n.axis(n.integer_attribute("axis", n.opset() < 13 ? 1 : -1), shape.rank()));
  Graph& g = n.graph();
  if (axis + 1 == shape.rank()) return n.yield(kBuild(g, x));
  if (n.opset() < 13) {
    std::int64_t rows = 1;
    for (std::size_t i = 0; i < axis; ++i) rows *= shape[i];
    if (rows == 0 || shape.elements() == 0) return n.unsupported("an empty operand");
    return n.yield(reshape(g, kBuild(g, reshape(g, x, {rows, shape.elements() / rows})), shape));
  }
  return n.yield(
      swap_axes(g, kBuild(g, swap_axes(g, x, axis, shape.rank() - 1)), axis, shape.rank() - 1));
}

Result<void> lp_normalization(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", -1), n.shape(x).rank()));
  const std::int64_t p = n.integer_attribute("p", 2);
  if (p != 1 && p != 2) return n.corrupt("p = ", p, ", expected 1 or 2");
  Graph& g = n.graph();
  const Shape kept = n.shape(x).with(axis, 1);
  return n.yield(div(g, x, p == 1 ? l1_of(g, x, kept, 1) : l2_of(g, x, kept, 1)));
}

constexpr HandlerRow kRows[] = {
    {"ArgMax", arg<false>},
    {"ArgMin", arg<true>},
    {"CumSum", cumsum_op},
    {"Hardmax", soft<hardmax_of>},
    {"LogSoftmax", soft<log_softmax>},
    {"LpNormalization", lp_normalization},
    {"ReduceL1", reduce<l1_of>},
    {"ReduceL2", reduce<l2_of>},
    {"ReduceLogSum", reduce<log_of>},
    {"ReduceLogSumExp", reduce<log_exp_of>},
    {"ReduceMax", reduce<max_of>},
    {"ReduceMean", reduce<mean_of>},
    {"ReduceMin", reduce<min_of>},
    {"ReduceProd", reduce<prod_of>},
    {"ReduceSum", reduce<sum_of>},
    {"ReduceSumSquare", reduce<square_of>},
    {"Softmax", soft<softmax>},
    {"TopK", top_k_op},
};

}  // namespace

std::span<const HandlerRow> reduction_handlers() { return kRows; }

}  // namespace inkling::onnx_import
