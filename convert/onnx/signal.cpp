// ONNX signal processing: Fourier transforms as products with fixed cosines and sines, windows, and
// the triangles of the mel scale.

#include <cmath>
#include <numbers>

#include "convert/onnx/products.h"

namespace inkling::onnx_import {

namespace {

inline constexpr std::int64_t kLengthMax = 4096;  // of a transform: its matrix has the square

// e^(-+2 pi i j k / length) for rows j < size and columns k < bins, as cosines and sines.
struct Waves {
  ValueId cosines, sines;
};

Waves waves_of(Graph& g, std::int64_t size, std::int64_t length, std::int64_t bins, double sign,
               double factor, DType type) {
  std::vector<double> cosines, sines;
  for (std::int64_t j = 0; j < size; ++j) {
    for (std::int64_t k = 0; k < bins; ++k) {
      const double turns = static_cast<double>(j * k % length) / static_cast<double>(length);
      cosines.push_back(factor * std::cos(2 * std::numbers::pi * turns));
      sines.push_back(factor * sign * std::sin(2 * std::numbers::pi * turns));
    }
  }
  const Shape shape{size, bins};
  const auto matrix = [&](const std::vector<double>& values) {
    return cast(g, g.constant(Tensor::from<double>(shape, std::span<const double>(values))), type);
  };
  return {matrix(cosines), matrix(sines)};
}

// Rows [.., j] times a matrix [j, k].
ValueId rows_times(Graph& g, ValueId x, ValueId matrix) {
  const Shape s = g.shape(x);
  const std::int64_t rows = s.elements() / std::max<std::int64_t>(s.back(), 1);
  const ValueId y = matmul(g, reshape(g, x, {rows, s.back()}), matrix);
  return reshape(g, y, s.with(s.rank() - 1, g.shape(matrix)[1]));
}

// Real and imaginary parts side by side along a new last axis.
ValueId paired(Graph& g, ValueId real, ValueId imaginary) {
  std::vector<std::int64_t> dims(g.shape(real).dims().begin(), g.shape(real).dims().end());
  dims.push_back(1);
  const auto shape = Shape::from(dims);
  if (!shape || !g.status()) return kNoValue;
  const std::array<ValueId, 2> parts = {reshape(g, real, *shape), reshape(g, imaginary, *shape)};
  return concat(g, parts, static_cast<std::int64_t>(dims.size()) - 1);
}

Result<void> dft(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  const Shape shape = n.shape(x);
  if (shape.rank() < 2 || shape.back() < 1 || shape.back() > 2 || shape.elements() == 0)
    return n.unsupported("a signal ", shape);
  const std::size_t rank = shape.rank();
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 1), rank));
  if (axis + 1 == rank) return n.corrupt("the axis of real and imaginary parts");
  std::int64_t length = shape[axis];
  if (n.has(1)) {
    INK_TRY(const auto given, n.integers(1));
    if (given.size() != 1) return n.corrupt("a length of ", given.size(), " elements");
    length = given[0];
  }
  if (length < 1 || length > kLengthMax) return n.unsupported("a transform of ", length);
  const std::int64_t used = std::min(length, shape[axis]);
  const bool inverse = n.flag("inverse");
  const std::int64_t bins = n.flag("onesided") ? length / 2 + 1 : length;
  Graph& g = n.graph();
  const Waves waves = waves_of(g, used, length, bins, inverse ? 1 : -1,
                               inverse ? 1 / static_cast<double>(length) : 1, n.dtype(x));
  const auto part = [&](std::int64_t i) {  // [.., .., j]: the axis last, the pair gone
    const ValueId one = reshape(g, every(g, x, rank - 1, i, 1, 1), without(shape, rank - 1));
    return axis_to_back(g, every(g, one, axis, 0, 1, used), axis);
  };
  ValueId real = rows_times(g, part(0), waves.cosines);
  ValueId imaginary = rows_times(g, part(0), waves.sines);
  if (shape.back() == 2) {
    const ValueId other = part(1);
    real = sub(g, real, rows_times(g, other, waves.sines));
    imaginary = add(g, imaginary, rows_times(g, other, waves.cosines));
  }
  return n.yield(paired(g, axis_from_back(g, real, axis), axis_from_back(g, imaginary, axis)));
}

Result<void> stft(NodeReader& n) {
  INK_TRY(ValueId x, n.floats(0));
  INK_TRY(const auto step, n.integers(1));
  const Shape shape = n.shape(x);
  if (shape.rank() == 3 && shape[2] == 1) x = reshape(n.graph(), x, {shape[0], shape[1]});
  if (n.shape(x).rank() != 2 || step.size() != 1 || step[0] < 1)
    return n.unsupported("a signal ", shape, " (complex ones are not)");
  std::int64_t length = 0;
  ValueId window = kNoValue;
  Graph& g = n.graph();
  if (n.has(2)) {
    INK_TRY(window, n.floats(2));
    length = n.shape(window).elements();
  }
  if (n.has(3)) {
    INK_TRY(const auto given, n.integers(3));
    if (given.size() != 1) return n.corrupt("a frame length of ", given.size(), " elements");
    length = given[0];
  }
  if (length < 1 || length > kLengthMax || length > shape[1] ||
      (window != kNoValue && n.shape(window) != Shape{length}))
    return n.unsupported("frames of ", length, " in ", shape);
  const std::int64_t frames = (shape[1] - length) / step[0] + 1;
  const std::int64_t bins = n.flag("onesided", true) ? length / 2 + 1 : length;
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < frames * length; ++i)
    places.push_back(i / length * step[0] + i % length);
  ValueId rows = gather(g, x, whole_numbers(g, Shape{frames, length}, places), 1);
  if (window != kNoValue) rows = mul(g, rows, window);
  const Waves waves = waves_of(g, length, length, bins, -1, 1, n.dtype(x));
  const ValueId real = rows_times(g, rows, waves.cosines);
  return n.yield(paired(g, real, rows_times(g, rows, waves.sines)));
}

struct WindowShape {
  double a0, a1, a2;  // a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n)
};

template <const WindowShape& kShape>
Result<void> window(NodeReader& n) {
  INK_TRY(const auto size, n.integers(0));
  if (size.size() != 1 || size[0] < 1 || size[0] > 1 << 24) return n.corrupt("a window's size");
  INK_TRY(const DType type,
          n.dtype_of(n.integer_attribute("output_datatype", onnx::TensorProto::FLOAT)));
  const double period = static_cast<double>(n.flag("periodic", true) ? size[0] : size[0] - 1);
  std::vector<double> values;
  for (std::int64_t i = 0; i < size[0]; ++i) {
    const double turn = 2 * std::numbers::pi * static_cast<double>(i) / std::max(period, 1.0);
    values.push_back(kShape.a0 - kShape.a1 * std::cos(turn) + kShape.a2 * std::cos(2 * turn));
  }
  Graph& g = n.graph();
  return n.yield(
      cast(g, g.constant(Tensor::from<double>({size[0]}, std::span<const double>(values))), type));
}

constexpr WindowShape kHann{0.5, 0.5, 0}, kHamming{25.0 / 46, 21.0 / 46, 0},
    kBlackman{0.42, 0.5, 0.08};

// Triangles, evenly spaced on the mel scale, over the bins of a transform: [bins, bands].
Result<void> mel_weight_matrix(NodeReader& n) {
  std::array<double, 5> v{};
  for (std::size_t i = 0; i < v.size(); ++i) {
    INK_TRY(v[i], n.real(i));
  }
  const auto [bands, length, rate, low, high] = v;
  if (!(bands >= 1 && bands <= 4096 && length >= 1 && length <= 1 << 20 && rate > 0 && low >= 0 &&
        high >= low && high <= rate))
    return n.corrupt(bands, " bands of ", length, " at ", rate, " Hz from ", low, " to ", high);
  INK_TRY(const DType type,
          n.dtype_of(n.integer_attribute("output_datatype", onnx::TensorProto::FLOAT)));
  const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const auto columns = static_cast<std::int64_t>(bands);
  const auto rows = static_cast<std::int64_t>(length) / 2 + 1;
  std::vector<std::int64_t> edges;
  for (std::int64_t i = 0; i < columns + 2; ++i) {
    const double at = mel(low) + static_cast<double>(i) * (mel(high) - mel(low)) / (bands + 2);
    const double hertz = 700 * (std::pow(10, at / 2595) - 1);
    edges.push_back(static_cast<std::int64_t>(std::floor((length + 1) * hertz / rate)));
  }
  std::vector<double> weights(static_cast<std::size_t>(rows * columns), 0.0);
  const auto put = [&](std::int64_t row, std::int64_t column, double value) {
    if (row < rows) weights[static_cast<std::size_t>(row * columns + column)] = value;
  };
  for (std::int64_t i = 0; i < columns; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t from = edges[at], top = edges[at + 1], to = edges[at + 2];
    if (from == top) put(top, i, 1);
    for (std::int64_t j = from; j <= top && from != top; ++j)
      put(j, i, static_cast<double>(j - from) / static_cast<double>(top - from));
    for (std::int64_t j = top; j < to; ++j)
      put(j, i, static_cast<double>(to - j) / static_cast<double>(to - top));
  }
  Graph& g = n.graph();
  return n.yield(
      cast(g, g.constant(Tensor::from<double>({rows, columns}, std::span<const double>(weights))),
           type));
}

constexpr HandlerRow kRows[] = {
    {"BlackmanWindow", window<kBlackman>},  {"DFT", dft},
    {"HammingWindow", window<kHamming>},    {"HannWindow", window<kHann>},
    {"MelWeightMatrix", mel_weight_matrix}, {"STFT", stft},
};

}  // namespace

std::span<const HandlerRow> signal_handlers() { return kRows; }

}  // namespace inkling::onnx_import
