// ONNX ops whose result's shape depends on numbers, not on shapes. A plan needs fixed shapes, so
// these are computed here, from values that are known while importing.

#include <algorithm>
#include <numeric>

#include "convert/onnx/products.h"
#include "runtime/ops/support.h"

namespace inkling::onnx_import {

namespace {

// The rows of [n, rank] at which x is not zero, turned to [rank, n].
Result<void> non_zero(NodeReader& n) {
  INK_TRY(const Tensor* x, n.known(0));
  if (x->dtype() == DType::kF16 || x->dtype() == DType::kBF16)
    return n.unsupported("an input ", x->spec());
  std::vector<bool> set(static_cast<std::size_t>(x->shape().elements()));
  ops::on_number(x->dtype() == DType::kBool ? DType::kU8 : x->dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* data = static_cast<const T*>(x->raw());
    for (std::size_t i = 0; i < set.size(); ++i) set[i] = data[i] != T{0};
  });
  const auto strides = strides_of(x->shape());
  const std::size_t rank = std::max<std::size_t>(x->shape().rank(), 1);
  std::vector<std::int64_t> places;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    for (std::size_t i = 0; i < set.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      if (set[i])
        places.push_back(x->shape().rank() == 0 ? 0 : at / strides[axis] % x->shape()[axis]);
    }
  }
  const auto rows = static_cast<std::int64_t>(rank);
  const auto count = static_cast<std::int64_t>(std::count(set.begin(), set.end(), true));
  return n.yield(whole_numbers(n.graph(), Shape{rows, count}, places));
}

// Only the condition must be known.
Result<void> compress(NodeReader& n) {
  INK_TRY(ValueId x, n.tensor(0));
  INK_TRY(const auto condition, n.integers(1));
  Graph& g = n.graph();
  std::size_t axis = 0;
  if (n.attribute("axis")) {
    INK_TRY(axis, n.axis(n.integer_attribute("axis", 0), n.shape(x).rank()));
  } else {
    x = reshape(g, x, {n.shape(x).elements()});
  }
  const auto size = n.shape(x)[axis];
  std::vector<std::int64_t> places;
  for (std::size_t i = 0; i < condition.size() && static_cast<std::int64_t>(i) < size; ++i) {
    if (condition[i] != 0) places.push_back(static_cast<std::int64_t>(i));
  }
  return n.yield(gather(g, x, whole_numbers(g, places), static_cast<std::int64_t>(axis)));
}

// Which entries of an axis are the first of their kind, and how all of them relate to those.
struct Kinds {
  std::vector<std::int64_t> first, kind_of, counts;
};

template <typename T>
Kinds kinds_of(const Tensor& x, std::int64_t outer, std::int64_t entries, std::int64_t inner,
               bool sorted) {
  const T* data = static_cast<const T*>(x.raw());
  const auto compare = [&](std::int64_t a, std::int64_t b) {  // below, equal, above: -1, 0, 1
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const T u = data[(o * entries + a) * inner + i], v = data[(o * entries + b) * inner + i];
        if (u != v) return u < v ? -1 : 1;
      }
    }
    return 0;
  };
  auto order = counting(entries);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return compare(a, b) < 0; });
  Kinds kinds;
  kinds.kind_of.resize(static_cast<std::size_t>(entries));
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare(order[i - 1], order[i]) != 0) {
      kinds.first.push_back(order[i]);
      kinds.counts.push_back(0);
    }
    ++kinds.counts.back();
    kinds.kind_of[static_cast<std::size_t>(order[i])] =
        static_cast<std::int64_t>(kinds.first.size()) - 1;
  }
  if (sorted) return kinds;
  // In the order of first appearance instead.
  auto by_first = counting(static_cast<std::int64_t>(kinds.first.size()));
  const auto at = [](auto& list, std::int64_t i) -> auto& {
    return list[static_cast<std::size_t>(i)];
  };
  std::sort(by_first.begin(), by_first.end(), [&](std::int64_t a, std::int64_t b) {
    return at(kinds.first, a) < at(kinds.first, b);
  });
  Kinds appeared = kinds;
  std::vector<std::int64_t> renamed(by_first.size());
  for (std::size_t i = 0; i < by_first.size(); ++i) {
    appeared.first[i] = at(kinds.first, by_first[i]);
    appeared.counts[i] = at(kinds.counts, by_first[i]);
    at(renamed, by_first[i]) = static_cast<std::int64_t>(i);
  }
  for (std::int64_t& kind : appeared.kind_of) kind = at(renamed, kind);
  return appeared;
}

Result<void> unique(NodeReader& n) {
  INK_TRY(const ValueId given, n.number(0));
  INK_TRY(const Tensor* x, n.importer().known(given));
  if (!x) return n.unsupported("input 0 must be known while importing");
  const Shape shape = x->shape();
  std::size_t axis = 0;
  std::int64_t outer = 1, entries = shape.elements(), inner = 1;
  Graph& g = n.graph();
  ValueId rows = reshape(g, given, {entries});
  if (n.attribute("axis")) {
    INK_TRY(axis, n.axis(n.integer_attribute("axis", 0), shape.rank()));
    for (std::size_t i = 0; i < axis; ++i) outer *= shape[i];
    for (std::size_t i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
    entries = shape[axis];
    rows = given;
  }
  Kinds kinds;
  ops::on_number(x->dtype(), [&](auto tag) {
    kinds = kinds_of<decltype(tag)>(*x, outer, entries, inner, n.flag("sorted", true));
  });
  INK_CHECK_OK(
      n.yield(0, gather(g, rows, whole_numbers(g, kinds.first), static_cast<std::int64_t>(axis))));
  INK_CHECK_OK(n.yield(1, whole_numbers(g, kinds.first)));
  INK_CHECK_OK(n.yield(2, whole_numbers(g, kinds.kind_of)));
  return n.yield(3, whole_numbers(g, kinds.counts));
}

struct Box {
  float top, left, bottom, right;
  float area() const { return (bottom - top) * (right - left); }
};

Box box_of(const float* corners, bool centred) {
  if (centred) {
    const float x = corners[0], y = corners[1], w = corners[2], h = corners[3];
    return {y - h / 2, x - w / 2, y + h / 2, x + w / 2};
  }
  return {std::min(corners[0], corners[2]), std::min(corners[1], corners[3]),
          std::max(corners[0], corners[2]), std::max(corners[1], corners[3])};
}

float overlap(const Box& a, const Box& b) {
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (height <= 0 || width <= 0) return 0;
  const float both = height * width, all = a.area() + b.area() - both;
  return all > 0 ? both / all : 0;
}

// For each image and class the best boxes, leaving out those that overlap a better one.
Result<void> non_max_suppression(NodeReader& n) {
  INK_TRY(const Tensor* boxes, n.known(0));
  INK_TRY(const Tensor* scores, n.known(1));
  const Shape b = boxes->shape(), s = scores->shape();
  if (b.rank() != 3 || s.rank() != 3 || b[2] != 4 || s[0] != b[0] || s[2] != b[1] ||
      boxes->dtype() != DType::kF32 || scores->dtype() != DType::kF32)
    return n.corrupt("boxes ", boxes->spec(), " with scores ", scores->spec());
  std::int64_t most = 0;
  double overlap_max = 0, score_min = 0;
  if (n.has(2)) {
    INK_TRY(const auto given, n.integers(2));
    most = given.empty() ? 0 : given[0];
  }
  if (n.has(3)) {
    INK_TRY(overlap_max, n.real(3));
  }
  if (n.has(4)) {
    INK_TRY(score_min, n.real(4));
  }
  const bool centred = n.flag("center_point_box");
  std::vector<std::int64_t> picked;
  for (std::int64_t image = 0; image < s[0]; ++image) {
    const float* corners = boxes->data<float>().data() + image * b[1] * 4;
    for (std::int64_t kind = 0; kind < s[1]; ++kind) {
      const float* score = scores->data<float>().data() + (image * s[1] + kind) * s[2];
      auto order = counting(s[2]);
      if (n.has(4)) {
        std::erase_if(order,
                      [&](std::int64_t i) { return static_cast<double>(score[i]) <= score_min; });
      }
      std::stable_sort(order.begin(), order.end(),
                       [&](std::int64_t i, std::int64_t j) { return score[i] > score[j]; });
      std::vector<Box> kept;
      for (const std::int64_t i : order) {
        if (static_cast<std::int64_t>(kept.size()) >= most) break;
        const Box box = box_of(corners + 4 * i, centred);
        if (std::any_of(kept.begin(), kept.end(), [&](const Box& better) {
              return static_cast<double>(overlap(box, better)) > overlap_max;
            }))
          continue;
        kept.push_back(box);
        picked.insert(picked.end(), {image, kind, i});
      }
    }
  }
  const auto count = static_cast<std::int64_t>(picked.size() / 3);
  return n.yield(whole_numbers(n.graph(), Shape{count, 3}, picked));
}

constexpr HandlerRow kRows[] = {
    {"Compress", compress},
    {"NonMaxSuppression", non_max_suppression},
    {"NonZero", non_zero},
    {"Unique", unique},
};

}  // namespace

std::span<const HandlerRow> dependent_handlers() { return kRows; }

}  // namespace inkling::onnx_import
