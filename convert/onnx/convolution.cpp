// ONNX convolutions and pooling. Images are [n, c, h, w] there and channels-last here: a layer
// turns its input and its result, and the transposes cancel when the model is tidied. One spatial
// axis is an image of height 1; three are a sum (or maximum) over the depth of two.

#include <algorithm>

#include "convert/onnx/products.h"

namespace inkling::onnx_import {

namespace {

struct Axis {
  std::int64_t size, kernel, stride = 1, dilation = 1, before = 0, after = 0;
  std::int64_t rounded = 0;  // how much of `after` only lets the last window fit (ceil_mode)

  std::int64_t reach() const { return (kernel - 1) * dilation + 1; }
  std::int64_t room() const { return size + before + after - reach(); }
  std::int64_t out() const { return room() / stride + 1; }
};
using Geometry = std::vector<Axis>;  // one a spatial axis

inline constexpr std::int64_t kExtentMax = 1 << 20;  // of kernels, strides, dilations and pads

// The windows of a Conv or Pool node over x[n, c, ...].
Result<Geometry> geometry_of(NodeReader& n, Shape x, std::span<const std::int64_t> kernel) {
  if (x.rank() < 3 || x.rank() > 5)
    return n.unsupported("an input of rank ", x.rank(), ", expected 1 to 3 spatial axes");
  const std::size_t axes = x.rank() - 2;
  const auto strides = n.integers_attribute("strides");
  const auto dilations = n.integers_attribute("dilations");
  const auto pads = n.integers_attribute("pads");
  if (kernel.size() != axes || (!strides.empty() && strides.size() != axes) ||
      (!dilations.empty() && dilations.size() != axes) ||
      (!pads.empty() && pads.size() != 2 * axes))
    return n.corrupt("kernel, strides, dilations or pads that are not one an axis of ", x);
  for (const auto* list : {&strides, &dilations}) {
    for (const std::int64_t v : *list) {
      if (v < 1 || v > kExtentMax) return n.corrupt("a stride or dilation of ", v);
    }
  }
  const std::string automatic = n.text_attribute("auto_pad", "NOTSET");
  Geometry geometry;
  for (std::size_t i = 0; i < axes; ++i) {
    Axis axis{x[2 + i], kernel[i]};
    if (axis.kernel < 1 || axis.kernel > kExtentMax) return n.corrupt("a kernel of ", axis.kernel);
    if (!strides.empty()) axis.stride = strides[i];
    if (!dilations.empty()) axis.dilation = dilations[i];
    if (!pads.empty() && automatic == "NOTSET") {
      axis.before = pads[i];
      axis.after = pads[axes + i];
    }
    if (axis.before < 0 || axis.after < 0 || axis.before > kExtentMax || axis.after > kExtentMax)
      return n.unsupported("pads of ", axis.before, " and ", axis.after);
    if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
      const std::int64_t out = (axis.size + axis.stride - 1) / axis.stride;
      const std::int64_t total =
          std::max<std::int64_t>((out - 1) * axis.stride + axis.reach() - axis.size, 0);
      axis.before = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      axis.after = total - axis.before;
    }
    if (axis.room() < 0)
      return n.corrupt("a kernel of ", axis.kernel, " does not fit inside axis ", 2 + i, " of ", x);
    if (n.flag("ceil_mode")) {
      // Rounding up is one more window, where it begins inside the image or its front padding.
      const std::int64_t rest = axis.room() % axis.stride;
      if (rest != 0 && axis.room() - rest + axis.stride < axis.size + axis.before) {
        axis.rounded = axis.stride - rest;
        axis.after += axis.rounded;
      }
    }
    geometry.push_back(axis);
  }
  return geometry;
}

// The window of the last two spatial axes (of one: height 1).
Window window_of(const Geometry& geometry) {
  Window window;
  const std::size_t axes = geometry.size(), used = std::min<std::size_t>(axes, 2);
  for (std::size_t i = 0; i < used; ++i) {
    const Axis& axis = geometry[axes - used + i];
    const std::size_t at = 2 - used + i;
    window.strides[at] = axis.stride;
    window.dilations[at] = axis.dilation;
    window.pads[at] = axis.before;
    window.pads[2 + at] = axis.after;
  }
  return window;
}

std::array<std::int64_t, 2> kernel_of(const Geometry& geometry) {
  const std::size_t axes = geometry.size();
  return {axes < 2 ? 1 : geometry[axes - 2].kernel, geometry[axes - 1].kernel};
}

// Inserts a spatial axis of size 1 where there is only one.
ValueId as_image(Graph& g, ValueId x) {
  const Shape s = g.shape(x);
  return s.rank() == 3 ? reshape(g, x, {s[0], s[1], 1, s[2]}) : x;
}

// [n, c, ...] from channels-last, without the height that as_image() put in.
ValueId from_image(Graph& g, ValueId y, std::size_t spatial_axes) {
  const ValueId turned = channels_first(g, y);
  const Shape s = g.shape(turned);
  return spatial_axes == 1 ? reshape(g, turned, {s[0], s[1], s[3]}) : turned;
}

// Calls build(image[n depth, h, w, c], tap) for every tap of the depth axis of x[n, c, d, h, w] and
// joins what it gives, [n depth, h', w', c'], as [n, c', depth, h', w'].
template <typename Build, typename Join>
ValueId over_depth(Graph& g, ValueId x, const Axis& depth, double padding, const Build& build,
                   const Join& join) {
  ValueId whole = channels_last(g, x);
  if (depth.before != 0 || depth.after != 0)
    whole = pad(g, whole, {0, depth.before, 0, 0, 0}, {0, depth.after, 0, 0, 0}, padding);
  const Shape s = g.shape(whole);
  ValueId total = kNoValue;
  for (std::int64_t tap = 0; tap < depth.kernel && g.status(); ++tap) {
    const ValueId planes = every(g, whole, 1, tap * depth.dilation, depth.stride, depth.out());
    const ValueId part = build(reshape(g, planes, {s[0] * depth.out(), s[2], s[3], s[4]}), tap);
    total = total == kNoValue ? part : join(g, total, part);
  }
  const Shape y = g.shape(total);
  return channels_first(g, reshape(g, total, {s[0], depth.out(), y[1], y[2], y[3]}));
}

// Channels-last x with w[out, in / groups, kh, kw].
ValueId convolve_image(Graph& g, ValueId x, ValueId w, std::int64_t groups, const Window& window) {
  const Shape image = g.shape(x), weights = g.shape(w);
  if (groups == 1) return conv2d(g, x, transpose(g, w, {2, 3, 1, 0}), window);
  if (weights[1] == 1 && weights[0] == groups && is_float(g.spec(x).dtype)) {
    const ValueId taps =
        reshape(g, transpose(g, w, {2, 3, 1, 0}), {weights[2], weights[3], groups});
    return depthwise_conv2d(g, x, taps, window);
  }
  std::vector<ValueId> parts;
  const std::int64_t in = weights[1], out = weights[0] / groups;
  for (std::int64_t i = 0; i < groups && g.status(); ++i) {
    const ValueId part = slice(g, x, {0, 0, 0, i * in}, {image[0], image[1], image[2], in});
    const ValueId own = slice(g, w, {i * out, 0, 0, 0}, {out, in, weights[2], weights[3]});
    parts.push_back(conv2d(g, part, transpose(g, own, {2, 3, 1, 0}), window));
  }
  return g.status() ? concat(g, parts, 3) : kNoValue;
}

// Weights [a, b, kd, kh, kw] of one tap of the depth: [a, b, kh, kw].
ValueId depth_slice(Graph& g, ValueId w, std::int64_t tap) {
  const Shape s = g.shape(w);
  return reshape(g, slice(g, w, {0, 0, tap, 0, 0}, {s[0], s[1], 1, s[3], s[4]}),
                 {s[0], s[1], s[3], s[4]});
}

Result<void> conv(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  INK_TRY(const ValueId w, n.floats(1));
  INK_TRY(ValueId y, convolve(n, x, w));
  if (n.has(2)) {
    INK_TRY(const ValueId bias, n.floats(2));
    INK_TRY(const ValueId shaped, per_channel(n, bias, n.shape(y).rank()));
    y = add(n.graph(), y, shaped);
  }
  return n.yield(y);
}

// One axis of a transposed convolution: y[i stride + k dilation - before] += x[i] w[k].
struct Spread {
  Axis axis;  // of the convolution that this undoes: its output is our input
  std::int64_t out, full;
};

Result<std::vector<Spread>> spreads_of(NodeReader& n, Shape x,
                                       std::span<const std::int64_t> kernel) {
  const std::size_t axes = x.rank() - 2;
  const auto strides = n.integers_attribute("strides"), pads = n.integers_attribute("pads");
  const auto dilations = n.integers_attribute("dilations");
  const auto shape = n.integers_attribute("output_shape");
  const auto extra = n.integers_attribute("output_padding");
  const std::string automatic = n.text_attribute("auto_pad", "NOTSET");
  const auto fits = [&](const auto& list, std::size_t size) {
    return list.empty() || list.size() == size;
  };
  if (kernel.size() != axes || !fits(strides, axes) || !fits(dilations, axes) ||
      !fits(pads, 2 * axes) || !fits(extra, axes) ||
      (!fits(shape, axes) && shape.size() != axes + 2))
    return n.corrupt("attributes that are not one an axis of ", x);
  std::vector<Spread> spreads;
  for (std::size_t i = 0; i < axes; ++i) {
    const auto get = [i](const auto& list, std::int64_t fallback) {
      return list.empty() ? fallback : list[i];
    };
    Axis axis{0, kernel[i], get(strides, 1), get(dilations, 1)};
    for (const std::int64_t v : {axis.kernel, axis.stride, axis.dilation}) {
      if (v < 1 || v > kExtentMax) return n.corrupt("a kernel, stride or dilation of ", v);
    }
    if (x[2 + i] < 1) return n.unsupported("an empty operand");
    const std::int64_t full = (x[2 + i] - 1) * axis.stride + axis.reach();
    const std::int64_t more = get(extra, 0);
    std::int64_t out = full + more;
    const bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
    if (!shape.empty() || same) {
      out = shape.empty() ? x[2 + i] * axis.stride : shape[shape.size() - axes + i];
      const std::int64_t total = std::max<std::int64_t>(full + more - out, 0);
      axis.before = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
    } else if (!pads.empty() && automatic == "NOTSET") {
      axis.before = pads[i];
      out -= pads[i] + pads[axes + i];
    }
    axis.after = std::max<std::int64_t>(full - axis.before - out, 0);
    axis.size = out;
    if (out < 1 || out > kExtentMax || axis.before < 0 || axis.before > kExtentMax ||
        axis.out() != x[2 + i])
      return n.unsupported("an output of ", out, " from ", x[2 + i], " with a kernel of ",
                           axis.kernel);
    spreads.push_back({axis, out, full});
  }
  return spreads;
}

// Channels-last x with w[in, out / groups, kh, kw] to [n, height, width, out].
ValueId spread_image(Graph& g, ValueId x, ValueId w, std::int64_t groups, const Window& window,
                     std::int64_t height, std::int64_t width) {
  const Shape image = g.shape(x), weights = g.shape(w);
  const std::int64_t in = weights[0] / groups, out = weights[1];
  std::vector<ValueId> parts;
  for (std::int64_t i = 0; i < groups && g.status(); ++i) {
    const ValueId part =
        groups == 1 ? x : slice(g, x, {0, 0, 0, i * in}, {image[0], image[1], image[2], in});
    const ValueId own =
        groups == 1 ? w : slice(g, w, {i * in, 0, 0, 0}, {in, out, weights[2], weights[3]});
    parts.push_back(conv2d_input_gradient(g, part, transpose(g, own, {2, 3, 1, 0}), window,
                                          {image[0], height, width, out}));
  }
  if (!g.status()) return kNoValue;
  return groups == 1 ? parts[0] : concat(g, parts, 3);
}

// Planes [n, d, ...] at distance `stride`, zeros between and around, from `first` on.
ValueId spread_depth(Graph& g, ValueId x, const Spread& depth, std::int64_t tap) {
  const Shape s = g.shape(x);
  const std::int64_t stride = depth.axis.stride, first = tap * depth.axis.dilation;
  const std::int64_t plane = s[2] * s[3] * s[4], reached = (s[1] - 1) * stride + 1;
  ValueId y = reshape(g, x, {s[0], s[1], 1, plane});
  y = pad(g, y, {0, 0, 0, 0}, {0, 0, stride - 1, 0});
  y = slice(g, reshape(g, y, {s[0], s[1] * stride, plane}), {0, 0, 0}, {s[0], reached, plane});
  y = pad(g, y, {0, first, 0}, {0, depth.full - reached - first, 0});
  return reshape(g, y, {s[0], depth.full, s[2], s[3], s[4]});
}

Result<void> conv_transpose(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  INK_TRY(const ValueId w, n.floats(1));
  const Shape image = n.shape(x), weights = n.shape(w);
  const std::int64_t groups = n.integer_attribute("group", 1);
  if (image.rank() < 3 || image.rank() > 5 || weights.rank() != image.rank())
    return n.unsupported("images ", image, " with weights ", weights);
  if (groups < 1 || image[1] != weights[0] || weights[0] % groups != 0)
    return n.corrupt("images ", image, " with weights ", weights, " in ", groups, " groups");
  const std::size_t axes = image.rank() - 2;
  INK_TRY(const auto spreads, spreads_of(n, image, weights.dims().subspan(2)));
  Geometry geometry;
  for (const Spread& spread : spreads) geometry.push_back(spread.axis);
  const Window window = window_of(geometry);
  const std::int64_t height = axes < 2 ? 1 : spreads[axes - 2].out;
  const std::int64_t width = spreads[axes - 1].out;
  Graph& g = n.graph();
  ValueId y;
  if (axes < 3) {
    y = from_image(g,
                   spread_image(g, channels_last(g, as_image(g, x)), as_image(g, w), groups, window,
                                height, width),
                   axes);
  } else {
    const ValueId planes =
        reshape(g, channels_last(g, x), {image[0] * image[2], image[3], image[4], image[1]});
    ValueId total = kNoValue;
    for (std::int64_t tap = 0; tap < weights[2] && g.status(); ++tap) {
      const ValueId part =
          spread_image(g, planes, depth_slice(g, w, tap), groups, window, height, width);
      const Shape s = g.shape(part);
      const ValueId deep = spread_depth(g, reshape(g, part, {image[0], image[2], s[1], s[2], s[3]}),
                                        spreads[0], tap);
      total = total == kNoValue ? deep : add(g, total, deep);
    }
    const Shape s = g.shape(total);
    const std::int64_t more = spreads[0].axis.before + spreads[0].out - spreads[0].full;
    if (more > 0) total = pad(g, total, {0, 0, 0, 0, 0}, {0, more, 0, 0, 0});
    y = channels_first(g, slice(g, total, {0, spreads[0].axis.before, 0, 0, 0},
                                {s[0], spreads[0].out, s[2], s[3], s[4]}));
  }
  if (n.has(2)) {
    INK_TRY(const ValueId bias, n.floats(2));
    INK_TRY(const ValueId shaped, per_channel(n, bias, image.rank()));
    y = add(g, y, shaped);
  }
  return n.yield(y);
}

// How many elements each window of an axis averages.
std::vector<float> counts_of(const Axis& axis, bool count_padding) {
  std::vector<float> counts;
  const std::int64_t low = count_padding ? -axis.before : 0;
  const std::int64_t high = axis.size + (count_padding ? axis.after - axis.rounded : 0);
  for (std::int64_t o = 0; o < axis.out(); ++o) {
    float count = 0;
    for (std::int64_t k = 0; k < axis.kernel; ++k) {
      const std::int64_t at = o * axis.stride - axis.before + k * axis.dilation;
      count += at >= low && at < high;
    }
    counts.push_back(count);
  }
  return counts;
}

ValueId lowest_padded(Graph& g, ValueId x, std::vector<std::int64_t> before,
                      std::vector<std::int64_t> after) {
  return pad(g, x, std::move(before), std::move(after), -kInfinity);
}

ValueId max_pooled(Graph& g, ValueId x, const Geometry& geometry) {
  const auto kernel = kernel_of(geometry);
  const Window window = window_of(geometry);
  if (geometry.size() < 3)
    return from_image(g, max_pool(g, channels_last(g, as_image(g, x)), kernel, window),
                      geometry.size());
  return over_depth(
      g, x, geometry[0], -kInfinity,
      [&](ValueId image, std::int64_t) { return max_pool(g, image, kernel, window); }, maximum);
}

// Sums of windows, padding being zeros.
ValueId sum_pooled(Graph& g, ValueId x, const Geometry& geometry) {
  const auto kernel = kernel_of(geometry);
  const Window window = window_of(geometry);
  const auto sums = [&](ValueId image, std::int64_t) {
    return scale(g, avg_pool(g, image, kernel, window, true),
                 static_cast<double>(kernel[0] * kernel[1]));
  };
  if (geometry.size() < 3)
    return from_image(g, sums(channels_last(g, as_image(g, x)), 0), geometry.size());
  return over_depth(g, x, geometry[0], 0.0, sums, add);
}

ValueId average_pooled(Graph& g, ValueId x, const Geometry& geometry, bool count_padding) {
  const bool rounded = std::any_of(geometry.begin(), geometry.end(),
                                   [](const Axis& axis) { return axis.rounded != 0; });
  if (geometry.size() < 3 && !(count_padding && rounded))
    return from_image(g,
                      avg_pool(g, channels_last(g, as_image(g, x)), kernel_of(geometry),
                               window_of(geometry), count_padding),
                      geometry.size());
  ValueId y = sum_pooled(g, x, geometry);
  for (std::size_t i = 0; i < geometry.size(); ++i) {
    std::vector<std::int64_t> dims(geometry.size() - i, 1);
    dims[0] = geometry[i].out();
    const ValueId counts = g.constant(
        Tensor::from<float>(shape_or_latch(g, dims), counts_of(geometry[i], count_padding)));
    y = div(g, y, cast(g, counts, g.spec(y).dtype));
  }
  return y;
}

// Which element each maximum is: the first among equals, as a place in x, rows (or columns) first.
Result<ValueId> places_of_maxima(NodeReader& n, ValueId x, const Geometry& geometry) {
  Graph& g = n.graph();
  const Shape shape = n.shape(x);
  const std::size_t rank = shape.rank();
  std::vector<std::int64_t> strides(rank, 1);
  std::int64_t plane = 1;
  for (std::size_t i = 2; i < rank; ++i) {
    const std::size_t axis = n.flag("storage_order") ? i : rank + 1 - i;
    strides[axis] = plane;
    plane *= shape[axis];
  }
  strides[1] = plane;
  strides[0] = plane * shape[1];
  Tensor numbers = Tensor::zeros({DType::kI64, shape});
  std::vector<std::int64_t> index(rank, 0);
  for (std::int64_t& place : numbers.mutable_data<std::int64_t>()) {
    for (std::size_t i = 0; i < rank; ++i) place += index[i] * strides[i];
    for (std::size_t i = rank; i-- > 0 && ++index[i] == shape[i];) index[i] = 0;
  }
  std::vector<std::int64_t> before(rank, 0), after(rank, 0);
  std::int64_t taps = 1;
  for (std::size_t i = 0; i < geometry.size(); ++i) {
    before[2 + i] = geometry[i].before;
    after[2 + i] = geometry[i].after;
    taps *= geometry[i].kernel;
  }
  if (taps > 4096) return n.unsupported("places of maxima of ", taps, " elements");
  const ValueId values = lowest_padded(g, x, before, after);
  const ValueId places = pad(g, g.constant(std::move(numbers)), before, after);
  ValueId best = kNoValue, place = kNoValue;
  for (std::int64_t tap = 0; tap < taps && g.status(); ++tap) {
    ValueId value = values, at = places;
    std::int64_t rest = tap;
    for (std::size_t i = geometry.size(); i-- > 0; rest /= geometry[i].kernel) {
      const Axis& axis = geometry[i];
      const std::int64_t start = rest % axis.kernel * axis.dilation;
      value = every(g, value, 2 + i, start, axis.stride, axis.out());
      at = every(g, at, 2 + i, start, axis.stride, axis.out());
    }
    place = place == kNoValue ? at : where(g, less(g, best, value), at, place);
    best = best == kNoValue ? value : maximum(g, best, value);
  }
  return place;
}

Result<void> max_pool_op(NodeReader& n) {
  INK_TRY(const ValueId given, n.number(0));
  const DType type = n.dtype(given);
  if (type != DType::kU8 && type != DType::kI8 && !is_float(type))
    return n.unsupported("an input of ", dtype_name(type), "s");
  Graph& g = n.graph();
  const ValueId x = is_float(type) ? given : cast(g, given, DType::kF32);  // exact
  INK_TRY(const Geometry geometry,
          geometry_of(n, n.shape(x), n.integers_attribute("kernel_shape")));
  if (n.wants(1)) {
    INK_TRY(const ValueId places, places_of_maxima(n, x, geometry));
    INK_CHECK_OK(n.yield(1, places));
  }
  return n.yield(0, cast(g, max_pooled(g, x, geometry), type));
}

Result<void> average_pool(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  INK_TRY(const Geometry geometry,
          geometry_of(n, n.shape(x), n.integers_attribute("kernel_shape")));
  return n.yield(average_pooled(n.graph(), x, geometry, n.flag("count_include_pad")));
}

// (sum |x|^p)^(1/p)
Result<void> lp_pool(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  INK_TRY(const Geometry geometry,
          geometry_of(n, n.shape(x), n.integers_attribute("kernel_shape")));
  Graph& g = n.graph();
  const double p = static_cast<double>(n.integer_attribute("p", 2));
  if (p < 1) return n.corrupt("p = ", p);
  const ValueId powers = pow(g, abs(g, x), scalar_like(g, x, p));
  return n.yield(pow(g, sum_pooled(g, powers, geometry), scalar_like(g, x, 1.0 / p)));
}

enum class Global { kAverage, kMax, kLp };
template <Global kKind>
Result<void> global_pool(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  const Shape shape = n.shape(x);
  if (shape.rank() < 2 || shape.elements() == 0) return n.unsupported("an input ", shape);
  Shape kept = shape;
  std::vector<std::int64_t> axes;
  for (std::size_t i = 2; i < shape.rank(); ++i) {
    kept = kept.with(i, 1);
    axes.push_back(static_cast<std::int64_t>(i));
  }
  Graph& g = n.graph();
  if (kKind == Global::kAverage) return n.yield(mean_axes(g, x, axes));
  if (kKind == Global::kMax) return n.yield(max_to(g, x, kept));
  const double p = static_cast<double>(n.integer_attribute("p", 2));
  if (p < 1) return n.corrupt("p = ", p);
  const ValueId total = sum_to(g, pow(g, abs(g, x), scalar_like(g, x, p)), kept);
  return n.yield(pow(g, total, scalar_like(g, x, 1.0 / p)));
}

// Puts each maximum back where it stood; zeros elsewhere.
Result<void> max_unpool(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  INK_TRY(const ValueId places, n.tensor(1));
  const Shape from = n.shape(x);
  const auto kernel = n.integers_attribute("kernel_shape");
  auto strides = n.integers_attribute("strides"), pads = n.integers_attribute("pads");
  if (from.rank() < 3 || kernel.size() + 2 != from.rank()) return n.corrupt("a kernel for ", from);
  strides.resize(kernel.size(), 1);
  pads.resize(2 * kernel.size(), 0);
  std::vector<std::int64_t> dims{from[0], from[1]};
  for (std::size_t i = 0; i < kernel.size(); ++i)
    dims.push_back((from[2 + i] - 1) * strides[i] + kernel[i] - pads[i] - pads[kernel.size() + i]);
  INK_TRY(const Shape natural, shape_from(dims));
  Shape to = natural;
  if (n.has(2)) {
    INK_TRY(const auto given, n.integers(2));
    INK_TRY(to, shape_from(given));
    if (to.rank() != natural.rank()) return n.corrupt("output shape ", to, " for ", from);
  }
  // Places count in the natural shape; a larger output begins with it.
  Graph& g = n.graph();
  const Shape flat{from.elements()};
  const ValueId empty = broadcast_to(g, scalar_like(g, x, 0.0), {natural.elements()});
  const ValueId filled =
      scatter(g, empty, reshape(g, places, flat), reshape(g, x, flat), ScatterMode::kSet);
  std::vector<std::int64_t> after;
  for (std::size_t i = 0; i < to.rank(); ++i) {
    if (to[i] < natural[i]) return n.unsupported("output shape ", to, " below ", natural);
    after.push_back(to[i] - natural[i]);
  }
  if (to == natural) return n.yield(reshape(g, filled, to));
  return n.yield(pad(g, reshape(g, filled, natural), std::vector<std::int64_t>(to.rank(), 0),
                     std::move(after)));
}

constexpr HandlerRow kRows[] = {
    {"AveragePool", average_pool},
    {"Conv", conv},
    {"ConvTranspose", conv_transpose},
    {"GlobalAveragePool", global_pool<Global::kAverage>},
    {"GlobalLpPool", global_pool<Global::kLp>},
    {"GlobalMaxPool", global_pool<Global::kMax>},
    {"LpPool", lp_pool},
    {"MaxPool", max_pool_op},
    {"MaxUnpool", max_unpool},
};

}  // namespace

Result<ValueId> convolve(NodeReader& n, ValueId x, ValueId w) {
  const Shape image = n.shape(x), weights = n.shape(w);
  const std::int64_t groups = n.integer_attribute("group", 1);
  if (weights.rank() != image.rank() || image.rank() < 3)
    return n.unsupported("images ", image, " with weights ", weights);
  if (groups < 1 || weights[0] % groups != 0 || image[1] != weights[1] * groups)
    return n.corrupt("images ", image, " with weights ", weights, " in ", groups, " groups");
  INK_TRY(const Geometry geometry, geometry_of(n, image, weights.dims().subspan(2)));
  const Window window = window_of(geometry);
  Graph& g = n.graph();
  if (geometry.size() < 3)
    return from_image(
        g, convolve_image(g, channels_last(g, as_image(g, x)), as_image(g, w), groups, window),
        geometry.size());
  return over_depth(
      g, x, geometry[0], 0.0,
      [&](ValueId planes, std::int64_t tap) {
        return convolve_image(g, planes, depth_slice(g, w, tap), groups, window);
      },
      add);
}

Result<ValueId> per_channel(NodeReader& n, ValueId values, std::size_t rank, std::size_t axis) {
  const Shape own = n.shape(values);
  if (own.elements() == 1) return reshape(n.graph(), values, Shape{});
  if (own.rank() != 1 || axis >= rank) return n.corrupt(own, ": expected one number a channel");
  std::vector<std::int64_t> dims(rank - axis, 1);
  dims[0] = own[0];
  INK_TRY(const Shape shape, shape_from(dims));
  return reshape(n.graph(), values, shape);
}

ValueId every(Graph& g, ValueId x, std::size_t axis, std::int64_t start, std::int64_t step,
              std::int64_t count) {
  const Shape shape = g.shape(x);
  if (step == 1) {
    std::vector<std::int64_t> starts(shape.rank(), 0);
    if (axis < starts.size()) starts[axis] = start;
    std::vector<std::int64_t> sizes(shape.dims().begin(), shape.dims().end());
    if (axis < sizes.size()) sizes[axis] = count;
    if (start == 0 && axis < shape.rank() && count == shape[axis]) return x;
    return slice(g, x, std::move(starts), std::move(sizes));
  }
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < count; ++i) places.push_back(start + i * step);
  return gather(g, x, whole_numbers(g, places), static_cast<std::int64_t>(axis));
}

ValueId channels_last(Graph& g, ValueId x) { return axis_to_back(g, x, 1); }
ValueId channels_first(Graph& g, ValueId x) { return axis_from_back(g, x, 1); }

std::span<const HandlerRow> convolution_handlers() { return kRows; }

}  // namespace inkling::onnx_import
