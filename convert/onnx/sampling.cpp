// ONNX ops that read images between pixels. Resize works axis by axis: each output position is a
// weighted sum of a few places, which are fixed. GridSample and RoiAlign compute their places.

#include <algorithm>
#include <cmath>

#include "convert/onnx/products.h"

namespace inkling::onnx_import {

namespace {

// Where the elements of a resized axis come from: for each tap and output position a place and a
// weight.
struct AxisTaps {
  std::vector<std::vector<std::int64_t>> places;
  std::vector<std::vector<double>> weights;
  std::vector<bool> outside;  // by output position; empty: none
};

struct ResizeRule {
  std::string mode, coordinates, rounding;
  double cubic = -0.75;
  bool exclude_outside = false;
};

// The place in the input that output position x stands for.
double source_of(const ResizeRule& rule, double x, double scale, double in, double out,
                 double roi_start, double roi_end) {
  if (rule.coordinates == "align_corners") return out == 1 ? 0.0 : x * (in - 1) / (out - 1);
  if (rule.coordinates == "asymmetric") return x / scale;
  if (rule.coordinates == "tf_half_pixel_for_nn") return (x + 0.5) / scale;
  if (rule.coordinates == "pytorch_half_pixel" && out <= 1) return 0.0;
  if (rule.coordinates == "tf_crop_and_resize") {
    if (out <= 1) return 0.5 * (roi_start + roi_end) * (in - 1);
    return roi_start * (in - 1) + x * (roi_end - roi_start) * (in - 1) / (out - 1);
  }
  return (x + 0.5) / scale - 0.5;
}

double rounded(const ResizeRule& rule, double x) {
  if (rule.rounding == "floor") return std::floor(x);
  if (rule.rounding == "ceil") return std::ceil(x);
  if (rule.rounding == "round_prefer_ceil") return std::floor(x + 0.5);
  return std::ceil(x - 0.5);
}

// Keys' cubic kernel at distance t.
double cubic_weight(double a, double t) {
  t = std::abs(t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0.0;
}

AxisTaps taps_of(const ResizeRule& rule, std::int64_t in, std::int64_t out, double scale,
                 double out_length, double roi_start, double roi_end) {
  const int taps = rule.mode == "nearest" ? 1 : rule.mode == "linear" ? 2 : 4;
  AxisTaps result;
  result.places.resize(static_cast<std::size_t>(taps));
  result.weights.resize(static_cast<std::size_t>(taps));
  const bool crops = rule.coordinates == "tf_crop_and_resize";
  for (std::int64_t o = 0; o < out; ++o) {
    const double x = source_of(rule, static_cast<double>(o), scale, static_cast<double>(in),
                               out_length, roi_start, roi_end);
    if (crops) result.outside.push_back(x < 0 || x > static_cast<double>(in - 1));
    const double base = taps == 1 ? rounded(rule, x) : std::floor(x) - (taps == 4 ? 1 : 0);
    double total = 0;
    for (int k = 0; k < taps; ++k) {
      const double at = base + k;
      double weight = 1;
      if (taps == 2) weight = 1 - std::abs(x - at);
      if (taps == 4) weight = cubic_weight(rule.cubic, x - at);
      if (rule.exclude_outside && (at < 0 || at > static_cast<double>(in - 1))) weight = 0;
      total += weight;
      result.weights[static_cast<std::size_t>(k)].push_back(weight);
      result.places[static_cast<std::size_t>(k)].push_back(
          static_cast<std::int64_t>(std::clamp(at, 0.0, static_cast<double>(in - 1))));
    }
    if (rule.exclude_outside && total != 0) {
      for (auto& weights : result.weights) weights.back() /= total;
    }
  }
  return result;
}

// A number for each entry of an axis of a tensor of that rank.
Shape along_axis(std::size_t rank, std::size_t axis, std::int64_t size) {
  std::vector<std::int64_t> dims(rank - axis, 1);
  dims[0] = size;
  return *Shape::from(dims);
}

ValueId resized(Graph& g, ValueId x, std::size_t axis, const AxisTaps& taps) {
  const auto at = static_cast<std::int64_t>(axis);
  if (taps.places.size() == 1) return gather(g, x, whole_numbers(g, taps.places[0]), at);
  ValueId total = kNoValue;
  const std::size_t rank = g.shape(x).rank();
  for (std::size_t k = 0; k < taps.places.size(); ++k) {
    const auto& weights = taps.weights[k];
    const Shape shape = along_axis(rank, axis, static_cast<std::int64_t>(weights.size()));
    const ValueId factors =
        cast(g, g.constant(Tensor::from<double>(shape, weights)), g.spec(x).dtype);
    const ValueId part = mul(g, gather(g, x, whole_numbers(g, taps.places[k]), at), factors);
    total = total == kNoValue ? part : add(g, total, part);
  }
  return total;
}

Result<std::vector<double>> reals(NodeReader& n, std::size_t i) {
  INK_TRY(const Tensor* tensor, n.known(i));
  if (tensor->dtype() == DType::kF32) {
    const auto data = tensor->data<float>();
    return std::vector<double>(data.begin(), data.end());
  }
  if (tensor->dtype() == DType::kF64) {
    const auto data = tensor->data<double>();
    return std::vector<double>(data.begin(), data.end());
  }
  return n.corrupt("input ", i, " is ", tensor->spec(), ", expected floats");
}

Result<void> resize_with(NodeReader& n, const ResizeRule& rule, std::vector<double> scales,
                         std::vector<std::int64_t> sizes, std::vector<double> roi) {
  INK_TRY(ValueId x, rule.mode == "nearest" ? n.tensor(0) : n.floats(0));
  const Shape from = n.shape(x);
  if ((scales.empty() == sizes.empty()) ||
      (scales.empty() ? sizes.size() : scales.size()) != from.rank())
    return n.corrupt("scales or sizes that are not one an axis of ", from);
  if (from.elements() == 0) return n.unsupported("an empty operand");
  const bool crops = rule.coordinates == "tf_crop_and_resize";
  if (crops && roi.size() != 2 * from.rank()) return n.corrupt(roi.size(), " bounds for ", from);
  Graph& g = n.graph();
  for (std::size_t i = 0; i < from.rank(); ++i) {
    const auto in = static_cast<double>(from[i]);
    const double scale = scales.empty() ? static_cast<double>(sizes[i]) / in : scales[i];
    const double length = scales.empty() ? static_cast<double>(sizes[i]) : in * scale;
    if (!(scale > 0) || !(length < 1 << 24)) return n.corrupt("a scale of ", scale);
    const auto out = static_cast<std::int64_t>(std::floor(length));
    const double start = crops ? roi[i] : 0.0, end = crops ? roi[from.rank() + i] : 1.0;
    if (out == from[i] && scale == 1.0 && start == 0.0 && end == 1.0) continue;
    const AxisTaps taps = taps_of(rule, from[i], out, scale, length, start, end);
    x = resized(g, x, i, taps);
    if (std::find(taps.outside.begin(), taps.outside.end(), true) == taps.outside.end()) continue;
    Tensor mask = Tensor::zeros({DType::kBool, along_axis(from.rank(), i, out)});
    std::copy(taps.outside.begin(), taps.outside.end(), mask.mutable_data<bool>().begin());
    x = where(g, g.constant(std::move(mask)),
              scalar_of(g, n.dtype(x), n.real_attribute("extrapolation_value", 0.0)), x);
  }
  return n.yield(x);
}

Result<void> resize(NodeReader& n) {
  ResizeRule rule{n.text_attribute("mode", "nearest"),
                  n.text_attribute("coordinate_transformation_mode", "half_pixel"),
                  n.text_attribute("nearest_mode", "round_prefer_floor"),
                  n.real_attribute("cubic_coeff_a", -0.75), n.flag("exclude_outside")};
  if (rule.mode != "nearest" && rule.mode != "linear" && rule.mode != "cubic")
    return n.unsupported("mode ", rule.mode);
  if (n.flag("antialias") || n.attribute("axes") || n.attribute("keep_aspect_ratio_policy"))
    return n.unsupported("antialias, axes or an aspect ratio policy");
  std::vector<double> scales, roi;
  std::vector<std::int64_t> sizes;
  if (n.opset() < 11) {
    rule.coordinates = "asymmetric";
    rule.rounding = "floor";
    INK_TRY(scales, reals(n, 1));
    return resize_with(n, rule, std::move(scales), {}, {});
  }
  if (n.has(1) && rule.coordinates == "tf_crop_and_resize") {
    INK_TRY(roi, reals(n, 1));
  }
  if (n.has(3)) {
    INK_TRY(sizes, n.integers(3));
  } else {
    INK_TRY(scales, reals(n, 2));
  }
  return resize_with(n, rule, std::move(scales), std::move(sizes), std::move(roi));
}

Result<void> upsample(NodeReader& n) {
  std::vector<double> scales = n.reals_attribute("scales");
  if (n.has(1)) {
    INK_TRY(scales, reals(n, 1));
  }
  const ResizeRule rule{n.text_attribute("mode", "nearest"), "asymmetric", "floor"};
  if (rule.mode != "nearest" && rule.mode != "linear") return n.unsupported("mode ", rule.mode);
  return resize_with(n, rule, std::move(scales), {}, {});
}

// Pixels of images as rows: [images height width, channels].
struct Pixels {
  ValueId rows;
  std::int64_t height, width;
};

Pixels pixels_of(Graph& g, ValueId x) {
  const Shape s = g.shape(x);
  return {reshape(g, channels_last(g, x), {s[0] * s[2] * s[3], s[1]}), s[2], s[3]};
}

// The pixels at whole (float) coordinates of images that begin at row `base`: [places, channels].
ValueId pixels_at(Graph& g, const Pixels& p, ValueId base, ValueId y, ValueId x) {
  const ValueId place = add(g, scale(g, y, static_cast<double>(p.width)), x);  // exact: below 2^24
  const ValueId row = add(g, base, cast(g, place, DType::kI64));
  return gather(g, p.rows, reshape(g, row, {g.shape(row).elements()}), 0);
}

ValueId as_column(Graph& g, ValueId x) { return reshape(g, x, {g.shape(x).elements(), 1}); }

// A coordinate moved inside [0, size): by mirroring at the borders, and by going to the nearest.
ValueId moved_inside(Graph& g, ValueId x, std::int64_t size, bool reflect, bool align) {
  const auto last = static_cast<double>(size - 1);
  if (reflect) {
    const double low = align ? 0.0 : -0.5, range = align ? last : last + 1;
    if (range <= 0) return scale(g, x, 0.0);
    const ValueId offset = abs(g, shift(g, x, -low));
    const ValueId turns = floor(g, scale(g, offset, 1 / range));
    const ValueId rest = sub(g, offset, scale(g, turns, range));
    const ValueId odd = sub(g, turns, scale(g, floor(g, scale(g, turns, 0.5)), 2.0));
    const ValueId mirrored = shift(g, neg(g, rest), range);
    x = shift(g, where(g, less(g, odd, scalar_like(g, x, 0.5)), rest, mirrored), low);
  }
  return clamp(g, x, 0.0, last);
}

ValueId is_inside(Graph& g, ValueId x, std::int64_t size) {
  return logical_and(g, less_equal(g, scalar_like(g, x, 0.0), x),
                     less_equal(g, x, scalar_like(g, x, static_cast<double>(size - 1))));
}

// Weights of Keys' cubic kernel (a = -3/4) at distances 1 + t, t, 1 - t, 2 - t.
std::array<ValueId, 4> cubic_weights(Graph& g, ValueId t) {
  constexpr double a = -0.75;
  const auto near = [&](ValueId d) {
    return shift(g, mul(g, mul(g, shift(g, scale(g, d, a + 2), -(a + 3)), d), d), 1.0);
  };
  const auto far = [&](ValueId d) {
    const ValueId inner = shift(g, mul(g, shift(g, scale(g, d, a), -5 * a), d), 8 * a);
    return shift(g, mul(g, inner, d), -4 * a);
  };
  const ValueId rest = shift(g, neg(g, t), 1.0);
  return {far(shift(g, t, 1.0)), near(t), near(rest), far(shift(g, rest, 1.0))};
}

Result<void> grid_sample(NodeReader& n) {
  INK_TRY(const ValueId image, n.floats(0));
  INK_TRY(const ValueId grid, n.floats(1));
  const Shape s = n.shape(image), at = n.shape(grid);
  if (s.rank() != 4 || at.rank() != 4 || at[0] != s[0] || at[3] != 2 || s.elements() == 0 ||
      n.dtype(grid) != n.dtype(image))
    return n.unsupported("images ", s, " at ", at);
  const std::string mode = n.text_attribute("mode", "bilinear");
  const std::string padding = n.text_attribute("padding_mode", "zeros");
  const bool align = n.flag("align_corners");
  if (s[2] * s[3] > 1 << 24) return n.unsupported("images ", s);
  Graph& g = n.graph();
  const auto coordinate = [&](std::int64_t i, std::int64_t size) {
    const ValueId unit =
        reshape(g, slice(g, grid, {0, 0, 0, i}, {at[0], at[1], at[2], 1}), {at[0], at[1], at[2]});
    const auto length = static_cast<double>(size);
    return align ? scale(g, shift(g, unit, 1.0), (length - 1) / 2)
                 : shift(g, scale(g, shift(g, unit, 1.0), length / 2), -0.5);
  };
  const ValueId x = coordinate(0, s[3]), y = coordinate(1, s[2]);
  auto starts = counting(s[0]);
  for (std::int64_t& start : starts) start *= s[2] * s[3];
  const ValueId base = whole_numbers(g, Shape{s[0], 1, 1}, starts);
  const Pixels pixels = pixels_of(g, image);
  const bool reflect = padding == "reflection";
  // The pixel at whole coordinates, or what the padding says is there.
  const auto pixel = [&](ValueId row, ValueId column) {
    const ValueId value = pixels_at(g, pixels, base, moved_inside(g, row, s[2], reflect, align),
                                    moved_inside(g, column, s[3], reflect, align));
    if (padding != "zeros") return value;
    const ValueId inside = logical_and(g, is_inside(g, row, s[2]), is_inside(g, column, s[3]));
    return where(g, as_column(g, inside), value, scalar_like(g, value, 0.0));
  };
  ValueId total = kNoValue;
  if (mode == "nearest") {
    total = pixel(round(g, y), round(g, x));
  } else if (mode == "bilinear" || mode == "bicubic" || mode == "linear" || mode == "cubic") {
    const ValueId row = floor(g, y), column = floor(g, x);
    const ValueId down = sub(g, y, row), right = sub(g, x, column);
    const bool cubic = mode == "bicubic" || mode == "cubic";
    std::vector<ValueId> rows, columns;
    if (cubic) {
      for (const ValueId w : cubic_weights(g, down)) rows.push_back(w);
      for (const ValueId w : cubic_weights(g, right)) columns.push_back(w);
    } else {
      rows = {shift(g, neg(g, down), 1.0), down};
      columns = {shift(g, neg(g, right), 1.0), right};
    }
    const double first = cubic ? -1.0 : 0.0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t j = 0; j < columns.size(); ++j) {
        const ValueId value = pixel(shift(g, row, first + static_cast<double>(i)),
                                    shift(g, column, first + static_cast<double>(j)));
        const ValueId part = mul(g, value, as_column(g, mul(g, rows[i], columns[j])));
        total = total == kNoValue ? part : add(g, total, part);
      }
    }
  } else {
    return n.unsupported("mode ", mode);
  }
  return n.yield(channels_first(g, reshape(g, total, {s[0], at[1], at[2], s[1]})));
}

// Means of bilinear samples in the cells of each region.
Result<void> roi_align(NodeReader& n) {
  INK_TRY(const ValueId image, n.floats(0));
  INK_TRY(const ValueId regions, n.floats(1));
  INK_TRY(const ValueId batch, n.tensor(2));
  const Shape s = n.shape(image), r = n.shape(regions);
  const std::int64_t rows = n.integer_attribute("output_height", 1);
  const std::int64_t columns = n.integer_attribute("output_width", 1);
  const std::int64_t samples = n.integer_attribute("sampling_ratio", 0);
  if (n.text_attribute("mode", "avg") != "avg") return n.unsupported("mode max");
  if (samples < 1) return n.unsupported("a number of samples that depends on the regions");
  if (s.rank() != 4 || r.rank() != 2 || r[1] != 4 || n.shape(batch) != Shape{r[0]} || rows < 1 ||
      columns < 1 || std::max({rows, columns, samples}) > 1024 || s[2] * s[3] > 1 << 24 ||
      s.elements() == 0)
    return n.unsupported("regions ", r, " of images ", s);
  const bool half = n.opset() >= 16 && n.text_attribute("coordinate_transformation_mode",
                                                        "half_pixel") == "half_pixel";
  const double factor = n.real_attribute("spatial_scale", 1.0);
  Graph& g = n.graph();
  const auto edge = [&](std::int64_t i) {
    const ValueId at = slice(g, regions, {0, i}, {r[0], 1});
    return shift(g, scale(g, at, factor), half ? -0.5 : 0.0);
  };
  // Sample positions [regions, cells samples], with the two pixels around and their weights.
  struct Samples {
    ValueId low, high, low_weight, high_weight;
  };
  const auto samples_of = [&](std::int64_t start, std::int64_t end, std::int64_t cells,
                              std::int64_t size) {
    const ValueId from = edge(start);
    ValueId extent = sub(g, edge(end), from);
    if (!half) extent = clamp(g, extent, 1.0, kInfinity);
    std::vector<double> steps;
    for (std::int64_t i = 0; i < cells * samples; ++i)
      steps.push_back((static_cast<double>(i) + 0.5) / static_cast<double>(cells * samples));
    const ValueId fractions =
        cast(g, g.constant(Tensor::from<double>({cells * samples}, std::span<const double>(steps))),
             n.dtype(image));
    const ValueId at = add(g, from, mul(g, extent, fractions));
    const auto length = static_cast<double>(size);
    // More than a pixel outside counts nothing; up to there the border's pixel does.
    const ValueId counts = logical_and(g, less_equal(g, scalar_like(g, at, -1.0), at),
                                       less_equal(g, at, scalar_like(g, at, length)));
    const ValueId inside = clamp(g, at, 0.0, length - 1);
    const ValueId low = clamp(g, floor(g, inside), 0.0, length - 1);
    const ValueId high = clamp(g, shift(g, low, 1.0), 0.0, length - 1);
    const ValueId rest = sub(g, inside, low), zero = scalar_like(g, at, 0.0);
    return Samples{low, high, where(g, counts, shift(g, neg(g, rest), 1.0), zero),
                   where(g, counts, rest, zero)};
  };
  const Samples y = samples_of(1, 3, rows, s[2]), x = samples_of(0, 2, columns, s[3]);
  const Shape down{r[0], rows * samples, 1}, across{r[0], 1, columns * samples};
  const ValueId base = mul(g, reshape(g, cast(g, batch, DType::kI64), {r[0], 1, 1}),
                           whole_numbers(g, Shape{}, std::vector<std::int64_t>{s[2] * s[3]}));
  const Pixels pixels = pixels_of(g, image);
  ValueId total = kNoValue;
  for (const auto& [row, row_weight] : {std::pair{y.low, y.low_weight}, {y.high, y.high_weight}}) {
    for (const auto& [column, weight] : {std::pair{x.low, x.low_weight}, {x.high, x.high_weight}}) {
      const ValueId value =
          pixels_at(g, pixels, base, reshape(g, row, down), reshape(g, column, across));
      const ValueId factors = mul(g, reshape(g, row_weight, down), reshape(g, weight, across));
      const ValueId part = mul(g, value, as_column(g, factors));
      total = total == kNoValue ? part : add(g, total, part);
    }
  }
  const ValueId cells = reshape(g, total, {r[0], rows, samples, columns, samples, s[1]});
  const ValueId means = mean_axes(g, cells, std::vector<std::int64_t>{2, 4});
  return n.yield(channels_first(g, reshape(g, means, {r[0], rows, columns, s[1]})));
}

constexpr HandlerRow kRows[] = {
    {"GridSample", grid_sample},
    {"Resize", resize},
    {"RoiAlign", roi_align},
    {"Upsample", upsample},
};

}  // namespace

std::span<const HandlerRow> sampling_handlers() { return kRows; }

}  // namespace inkling::onnx_import
