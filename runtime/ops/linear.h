#pragma once
// Sizes and epilogues of the linear ops (matmul, conv2d, depthwise_conv2d), as op files and kernels
// read them from a node.

#include <cstdint>

#include "runtime/ops/elementwise.h"

namespace inkling::ops {

struct MatmulSize {
  std::int64_t batch, m, n, k;
  bool transpose_a, transpose_b;
};
MatmulSize matmul_size(const Shape& a, const Shape& b, const Attrs& attrs);

// A window over channels-last images, with everything a loop needs. Output pixel (oy, ox) reads the
// input pixels (oy * stride - pad_top + ky * dilation, ...), those outside counting as zero.
struct WindowSize {
  std::int64_t batch, height, width, channels;  // of the input
  std::int64_t kernel_height, kernel_width;
  std::int64_t out_height, out_width;
  std::int64_t stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x;

  std::int64_t out_pixels() const { return batch * out_height * out_width; }
};
// Refuses what no window can be: not four axes, strides or dilations below 1, negative pads, no
// output.
Result<WindowSize> window_size(const Shape& x, std::int64_t kernel_height,
                               std::int64_t kernel_width, const Attrs& attrs);

Attrs window_attrs(const Window& window);

// Calls body(output pixel, kernel tap, input pixel) for every pair of pixels that a tap joins,
// output pixels first.
template <typename Body>
void for_each_tap(const WindowSize& s, const Body& body) {
  for (std::int64_t to = 0; to < s.out_pixels(); ++to) {
    const std::int64_t n = to / (s.out_height * s.out_width);
    const std::int64_t oy = to / s.out_width % s.out_height;
    const std::int64_t ox = to % s.out_width;
    for (std::int64_t tap = 0; tap < s.kernel_height * s.kernel_width; ++tap) {
      const std::int64_t iy = oy * s.stride_y - s.pad_top + tap / s.kernel_width * s.dilation_y;
      const std::int64_t ix = ox * s.stride_x - s.pad_left + tap % s.kernel_width * s.dilation_x;
      if (iy < 0 || iy >= s.height || ix < 0 || ix >= s.width) continue;
      body(to, tap, (n * s.height + iy) * s.width + ix);
    }
  }
}

// Linear ops are on floats, or on i32 (products of quantised numbers, exact while they fit).
inline Result<void> expect_linear(std::span<const TensorSpec> in, std::size_t low, std::size_t high,
                                  const Attrs& attrs) {
  INK_CHECK_OK(expect_alike(in, low, high));
  const bool whole = in[0].dtype == DType::kI32 && !attrs.has(Attr::kMin) && !attrs.has(Attr::kMax);
  if (!whole && !is_float(in[0].dtype))
    return refuse(in[0], ": expected floats, or i32 without bounds");
  return {};
}

template <typename Body>
void on_linear(DType dtype, const Body& body) {
  if (dtype == DType::kI32) {
    body(std::int32_t{});
  } else {
    on_float(dtype, body);
  }
}

// total + a b; integers wrap around.
template <typename T>
T multiply_add(T a, T b, T total) {
  return wrap(total, wrap(a, b, [](auto x, auto y) { return x * y; }),
              [](auto x, auto y) { return x + y; });
}

// Refuses a third input that is not a bias of n elements.
Result<void> expect_bias(std::span<const TensorSpec> in, std::int64_t n);

// Refuses a fourth input that is not of the shape of the result.
Result<void> expect_addend(std::span<const TensorSpec> in, const Shape& result);

// What a fused node does to each finished sum: adds the bias of its column and the element of
// another value of the result's shape (a residual connection), then clamps.
template <typename T>
struct Epilogue {
  const T* bias = nullptr;
  const T* addend = nullptr;
  T low, high;

  static Epilogue of(const KernelArgs& args) {
    const auto input = [&](std::size_t i) {
      return args.in.size() > i ? args.in[i].template as<const T>() : nullptr;
    };
    if constexpr (!std::is_floating_point_v<T>) {
      using Limits = std::numeric_limits<T>;
      return {input(2), input(3), Limits::lowest(), Limits::max()};
    }
    return {input(2), input(3), static_cast<T>(args.attrs.real(Attr::kMin, -kInfinity)),
            static_cast<T>(args.attrs.real(Attr::kMax, kInfinity))};
  }
  T apply(T total, std::int64_t element, std::int64_t columns) const {
    const auto add = [](auto a, auto b) { return a + b; };
    if (bias) total = wrap(total, bias[element % columns], add);
    if (addend) total = wrap(total, addend[element], add);
    return std::min(std::max(total, low), high);
  }
};

}  // namespace inkling::ops
