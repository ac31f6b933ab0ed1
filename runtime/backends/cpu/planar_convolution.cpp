// Dense convolution with few channels on both sides, as the first layer of a small network: vectors
// run along the rows of an image. An image is laid out as planes with its padding around it, one
// for each input channel and for each phase of the horizontal stride, so that whatever tap is read,
// the columns of neighbouring outputs are neighbours.
//
//   forward          the outputs of two vectors of columns, all channels of them, stay in registers
//   weight gradient  two taps' sums over an image, for all output channels, stay in registers; the
//                    images are cut into parts, whose sums are added in order
//
// Lanes beyond a row's end read what lies there, which is finite, and count for nothing.

#include <array>

#include "runtime/backends/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/planar_convolution.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/backends/cpu/bounded-inl.h"

#ifndef INK_PLANAR_CONVOLUTION
#define INK_PLANAR_CONVOLUTION
namespace inkling::cpu {
namespace {

constexpr std::int64_t kLanesMax = 16, kRowStep = 2 * kLanesMax;  // columns, of any CPU
constexpr std::int64_t kOutMax = 8, kChannelsMax = 4, kTapsMax = 128;
constexpr std::int64_t kPlanesMax = 1 << 18;  // floats, half of an L2 cache

std::int64_t round_up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

// A convolution, and where its planes lie.
struct Planar : ops::WindowSize {
  std::int64_t out;
  std::int64_t plane_width, plane_rows;

  Planar(const Shape& x, std::int64_t kernel_height, std::int64_t kernel_width,
         std::int64_t out_channels, const Attrs& attrs)
      : WindowSize(*ops::window_size(x, kernel_height, kernel_width, attrs)), out(out_channels) {
    plane_width = round_up(out_width, kRowStep) + (kernel_width - 1) * dilation_x / stride_x;
    plane_rows = (out_height - 1) * stride_y + (kernel_height - 1) * dilation_y + 1;
  }

  std::int64_t taps() const { return kernel_height * kernel_width * channels; }
  std::int64_t image_floats() const { return height * width * channels; }
  std::int64_t plane_floats() const { return plane_rows * plane_width; }
  std::int64_t planes_floats() const { return channels * stride_x * plane_floats(); }
  std::int64_t cotangent_width() const { return round_up(out_width, kLanesMax); }
  std::int64_t cotangent_floats() const { return out * out_height * cotangent_width(); }

  // Of each tap, in the weights' order: from where an output's row and column begin to what it
  // reads.
  std::array<std::int64_t, kTapsMax> offsets() const {
    std::array<std::int64_t, kTapsMax> all{};
    std::size_t tap = 0;
    for (std::int64_t ky = 0; ky < kernel_height; ++ky) {
      for (std::int64_t kx = 0; kx < kernel_width; ++kx) {
        const std::int64_t column = kx * dilation_x;
        for (std::int64_t c = 0; c < channels; ++c) {
          all[tap++] = (c * stride_x + column % stride_x) * plane_floats() +
                       ky * dilation_y * plane_width + column / stride_x;
        }
      }
    }
    return all;
  }
};

}  // namespace
}  // namespace inkling::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr hn::CappedTag<float, kLanesMax> kTag;
using Vec = hn::Vec<decltype(kTag)>;

std::int64_t lanes() { return static_cast<std::int64_t>(hn::Lanes(kTag)); }

template <int kOut>
void forward_image(const Planar& s, const float* planes, const float* weights,
                   const ops::Epilogue<float>& epilogue, float* y) {
  const auto offsets = s.offsets();
  const std::int64_t n = lanes(), taps = s.taps();
  const Vec low = hn::Set(kTag, epilogue.low), high = hn::Set(kTag, epilogue.high);
  for (std::int64_t oy = 0; oy < s.out_height; ++oy) {
    for (std::int64_t ox = 0; ox < s.out_width; ox += 2 * n) {
      const float* from = planes + oy * s.stride_y * s.plane_width + ox;
      Vec acc[kOut][2];
#pragma GCC unroll 8
      for (int o = 0; o < kOut; ++o)
        acc[o][0] = acc[o][1] = hn::Set(kTag, epilogue.bias ? epilogue.bias[o] : 0.0f);
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const float* x = from + offsets[static_cast<std::size_t>(tap)];
        const Vec first = hn::LoadU(kTag, x), second = hn::LoadU(kTag, x + n);
#pragma GCC unroll 8
        for (int o = 0; o < kOut; ++o) {
          const Vec w = hn::Set(kTag, weights[tap * kOut + o]);
          acc[o][0] = hn::MulAdd(w, first, acc[o][0]);
          acc[o][1] = hn::MulAdd(w, second, acc[o][1]);
        }
      }
      HWY_ALIGN float columns[kOut][kRowStep];
#pragma GCC unroll 8
      for (int o = 0; o < kOut; ++o) {
        hn::Store(bounded(acc[o][0], low, high), kTag, columns[o]);
        hn::Store(bounded(acc[o][1], low, high), kTag, columns[o] + n);
      }
      float* to = y + (oy * s.out_width + ox) * kOut;
      const std::int64_t count = std::min(2 * n, s.out_width - ox);
      for (std::int64_t i = 0; i < count; ++i) {
        for (int o = 0; o < kOut; ++o) to[i * kOut + o] = columns[o][i];
      }
    }
  }
}

// dw of the taps [tap, tap + kTaps) += their sums over an image.
template <int kTaps, int kOut>
HWY_INLINE void add_taps(const Planar& s, const float* planes, const std::int64_t* offsets,
                         const float* cotangent, float* dw) {
  const std::int64_t n = lanes(), row = s.cotangent_width(), plane = s.out_height * row;
  Vec acc[kTaps][kOut];
#pragma GCC unroll 2
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 8
    for (int o = 0; o < kOut; ++o) acc[t][o] = hn::Zero(kTag);
  }
  for (std::int64_t oy = 0; oy < s.out_height; ++oy) {
    const float* from = planes + oy * s.stride_y * s.plane_width;
    const float* dy = cotangent + oy * row;
    for (std::int64_t ox = 0; ox < s.out_width; ox += n) {
      Vec x[kTaps];
#pragma GCC unroll 2
      for (int t = 0; t < kTaps; ++t) x[t] = hn::LoadU(kTag, from + offsets[t] + ox);
#pragma GCC unroll 8
      for (int o = 0; o < kOut; ++o) {
        const Vec d = hn::LoadU(kTag, dy + o * plane + ox);
#pragma GCC unroll 2
        for (int t = 0; t < kTaps; ++t) acc[t][o] = hn::MulAdd(x[t], d, acc[t][o]);
      }
    }
  }
#pragma GCC unroll 2
  for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 8
    for (int o = 0; o < kOut; ++o) dw[t * kOut + o] += hn::GetLane(hn::SumOfLanes(kTag, acc[t][o]));
  }
}

template <int kOut>
void weight_gradient_image(const Planar& s, const float* planes, const float* cotangent,
                           float* dw) {
  const auto offsets = s.offsets();
  std::int64_t tap = 0;
  for (; tap + 2 <= s.taps(); tap += 2)
    add_taps<2, kOut>(s, planes, offsets.data() + tap, cotangent, dw + tap * kOut);
  if (tap < s.taps())
    add_taps<1, kOut>(s, planes, offsets.data() + tap, cotangent, dw + tap * kOut);
}

template <int... kLess>
void forward_any(const Planar& s, const float* planes, const float* weights,
                 const ops::Epilogue<float>& epilogue, float* y,
                 std::integer_sequence<int, kLess...>) {
  constexpr void (*kRows[])(const Planar&, const float*, const float*, const ops::Epilogue<float>&,
                            float*) = {forward_image<kLess + 1>...};
  kRows[s.out - 1](s, planes, weights, epilogue, y);
}

template <int... kLess>
void weight_gradient_any(const Planar& s, const float* planes, const float* cotangent, float* dw,
                         std::integer_sequence<int, kLess...>) {
  constexpr void (*kRows[])(const Planar&, const float*, const float*,
                            float*) = {weight_gradient_image<kLess + 1>...};
  kRows[s.out - 1](s, planes, cotangent, dw);
}

void forward_planes(const Planar& s, const float* planes, const float* weights,
                    const ops::Epilogue<float>& epilogue, float* y) {
  forward_any(s, planes, weights, epilogue, y, std::make_integer_sequence<int, kOutMax>());
}

void weight_gradient_planes(const Planar& s, const float* planes, const float* cotangent,
                            float* dw) {
  weight_gradient_any(s, planes, cotangent, dw, std::make_integer_sequence<int, kOutMax>());
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(forward_planes);
HWY_EXPORT(weight_gradient_planes);

namespace {

// One image as planes. What the padding and the lanes beyond a row read is zero.
void lay_out(const Planar& s, const float* image, float* planes) {
  std::fill_n(planes, s.planes_floats(), 0.0f);
  const std::int64_t rows = std::min(s.height, s.plane_rows - s.pad_top);
  for (std::int64_t iy = 0; iy < rows; ++iy) {
    const float* from = image + iy * s.width * s.channels;
    float* row = planes + (iy + s.pad_top) * s.plane_width;
    if (s.channels == 1 && s.stride_x == 1) {
      std::copy_n(from, std::min(s.width, s.plane_width - s.pad_left), row + s.pad_left);
      continue;
    }
    for (std::int64_t ix = 0; ix < s.width; ++ix) {
      const std::int64_t column = ix + s.pad_left, at = column / s.stride_x;
      if (at >= s.plane_width) break;
      float* to = row + column % s.stride_x * s.plane_floats() + at;
      for (std::int64_t c = 0; c < s.channels; ++c)
        to[c * s.stride_x * s.plane_floats()] = from[ix * s.channels + c];
    }
  }
}

// dy of one image as a plane for each output channel, zero beyond a row's end.
void lay_out_cotangent(const Planar& s, const float* dy, float* planes) {
  const std::int64_t row = s.cotangent_width();
  for (std::int64_t oy = 0; oy < s.out_height; ++oy) {
    for (std::int64_t o = 0; o < s.out; ++o) {
      float* to = planes + (o * s.out_height + oy) * row;
      const float* from = dy + oy * s.out_width * s.out + o;
      for (std::int64_t ox = 0; ox < s.out_width; ++ox) to[ox] = from[ox * s.out];
      std::fill(to + s.out_width, to + row, 0.0f);
    }
  }
}

bool accepts(const Planar& s) {
  return s.out <= kOutMax && s.channels <= kChannelsMax && s.taps() <= kTapsMax &&
         s.planes_floats() <= kPlanesMax;
}

// A vector does `out` columns' work where a product has a vector for each column.
double seconds(const Planar& s) {
  const double lanes_used =
      static_cast<double>(s.out_width) / static_cast<double>(round_up(s.out_width, kLanesMax));
  return gemm_seconds(static_cast<double>(s.out_pixels()) *
                      static_cast<double>(s.taps() * s.out + s.out * kLanesMax)) /
         lanes_used / 2;
}

// Forward.

Planar forward_size(std::span<const TensorSpec> in, const Attrs& attrs) {
  const Shape& w = in[1].shape;
  return {in[0].shape, w[0], w[1], w[3], attrs};
}

bool forward_accepts(const NodeSpec& node) {
  return all_f32(node) && node.in.size() < 4 && node.out_pitch == 0 &&
         accepts(forward_size(node.in, node.attrs));
}

std::size_t forward_scratch(const NodeSpec& node) {
  const Planar s = forward_size(node.in, node.attrs);
  return aligned_floats(s.planes_floats()) * sizeof(float) * node.threads;
}

void forward(const KernelArgs& args) {
  const Shape& w = args.in[1].shape();
  const Planar s(args.in[0].shape(), w[0], w[1], w[3], args.attrs);
  const auto epilogue = ops::Epilogue<float>::of(args);
  const auto of_image = HWY_DYNAMIC_DISPATCH(forward_planes);
  args.pool.parallel_for(
      static_cast<std::size_t>(s.batch), 1,
      [&](std::size_t begin, std::size_t end, unsigned worker) {
        float* planes =
            reinterpret_cast<float*>(args.scratch) + worker * aligned_floats(s.planes_floats());
        for (auto n = static_cast<std::int64_t>(begin); n < static_cast<std::int64_t>(end); ++n) {
          lay_out(s, args.in[0].as<float>() + n * s.image_floats(), planes);
          of_image(s, planes, args.in[1].as<float>(), epilogue,
                   args.out[0].as<float>() + n * s.out_height * s.out_width * s.out);
        }
      });
}

double forward_cost(const NodeSpec& node) { return seconds(forward_size(node.in, node.attrs)); }

// Weight gradient.

constexpr std::int64_t kParts = 8;

Planar gradient_size(const Shape& x, const Shape& dy, const Attrs& attrs) {
  const auto& kernel = attrs.integers(Attr::kKernel);
  return {x, kernel[0], kernel[1], dy[3], attrs};
}

bool gradient_accepts(const NodeSpec& node) {
  return all_f32(node) && accepts(gradient_size(node.in[0].shape, node.in[1].shape, node.attrs));
}

std::size_t worker_floats(const Planar& s) {
  return aligned_floats(s.planes_floats()) + aligned_floats(s.cotangent_floats());
}

std::size_t gradient_scratch(const NodeSpec& node) {
  const Planar s = gradient_size(node.in[0].shape, node.in[1].shape, node.attrs);
  return (aligned_floats(s.taps() * s.out) * kParts + worker_floats(s) * node.threads) *
         sizeof(float);
}

void weight_gradient(const KernelArgs& args) {
  const Planar s = gradient_size(args.in[0].shape(), args.in[1].shape(), args.attrs);
  const std::size_t sum_floats = aligned_floats(s.taps() * s.out);
  float* sums = reinterpret_cast<float*>(args.scratch);
  const auto of_image = HWY_DYNAMIC_DISPATCH(weight_gradient_planes);
  args.pool.parallel_for(kParts, 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
    float* planes = sums + sum_floats * kParts + worker * worker_floats(s);
    float* cotangent = planes + aligned_floats(s.planes_floats());
    for (auto part = static_cast<std::int64_t>(begin); part < static_cast<std::int64_t>(end);
         ++part) {
      float* sum = sums + static_cast<std::size_t>(part) * sum_floats;
      std::fill_n(sum, sum_floats, 0.0f);
      for (std::int64_t n = s.batch * part / kParts; n < s.batch * (part + 1) / kParts; ++n) {
        lay_out(s, args.in[0].as<float>() + n * s.image_floats(), planes);
        lay_out_cotangent(s, args.in[1].as<float>() + n * s.out_height * s.out_width * s.out,
                          cotangent);
        of_image(s, planes, cotangent, sum);
      }
    }
  });
  add_up({sums, kParts, sum_floats}, s.taps() * s.out, args.out[0].as<float>());
}

double gradient_cost(const NodeSpec& node) {
  return seconds(gradient_size(node.in[0].shape, node.in[1].shape, node.attrs));
}

constexpr Kernel kRows[] = {
    {.op = OpKind::kConv2d,
     .name = "conv2d_planes",
     .accepts = forward_accepts,
     .cost = forward_cost,
     .run = forward,
     .scratch_bytes = forward_scratch},
    {.op = OpKind::kConv2dWeightGradient,
     .name = "conv2d_weight_gradient_planes",
     .accepts = gradient_accepts,
     .cost = gradient_cost,
     .run = weight_gradient,
     .scratch_bytes = gradient_scratch},
};

}  // namespace

std::span<const Kernel> planar_convolution_kernels() { return kRows; }

}  // namespace inkling::cpu
#endif
