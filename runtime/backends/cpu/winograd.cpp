// 3x3 convolution with stride 1 by Winograd's minimal filtering (Lavin & Gray, CVPR 2016): a tile
// of m x m outputs costs (m + 2)^2 multiplications a pair of channels instead of 9 m^2.
//
//   y = A^T [ (G g G^T) . (B^T d B) ] A      d: the tile's (m + 2) x (m + 2) inputs, g: the kernel
//
// A, B and G come from the points at which the polynomials are evaluated (Toom & Cook): 0, 1, -1
// and infinity for m = 2; 0, +-sqrt(1/2), +-sqrt(2) and infinity for m = 4, which rounds less than
// the usual 1 and 2. Each of the (m + 2)^2 places of a transformed tile is then a matrix product of
// its own, [tiles, in] [in, out], with weights transformed and packed once. Tiles go through in
// strips that stay in the L2 cache.

#include <array>
#include <cmath>
#include <vector>

#include "runtime/backends/cpu/cpu.h"
#include "runtime/backends/cpu/gemm.h"
#include "runtime/backends/cpu/windows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/winograd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/backends/cpu/bounded-inl.h"

#ifndef INK_WINOGRAD
#define INK_WINOGRAD
namespace inkling::cpu {
namespace {

constexpr double kNear = 0.70710678118654752440, kFar = 1.41421356237309504880;  // points of m = 4
constexpr std::int64_t kChannelsMin = 16;  // a vector of any instruction set

// The tiles of an image batch, row after row, and a strip of them.
struct Tiles {
  ConvolutionSize s;
  std::int64_t side;  // m
  std::int64_t down = 0, across = 0;
  std::int64_t strip = 0;  // at most so many at a time

  std::int64_t count() const { return s.batch * down * across; }
  std::int64_t places() const { return (side + 2) * (side + 2); }
  // Floats between the matrices of two places. An odd number of cache lines: else all places of a
  // tile would lie in the same few sets of the L1 cache.
  std::int64_t spread(std::int64_t channels) const {
    return ((strip * channels + 15) / 16 | 1) * 16;
  }
};

// Where a result goes: its pixels lie `pitch` floats apart.
struct Target {
  float* y;
  std::int64_t pitch;
};

struct Strip {
  std::int64_t first, count;
};

}  // namespace
}  // namespace inkling::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr hn::ScalableTag<float> kTag;
using Vec = hn::Vec<decltype(kTag)>;

HWY_INLINE Vec times(double factor, Vec v) {
  return hn::Mul(hn::Set(kTag, static_cast<float>(factor)), v);
}
HWY_INLINE Vec plus(Vec total, double factor, Vec v) {
  return hn::MulAdd(hn::Set(kTag, static_cast<float>(factor)), v, total);
}

// B^T x
template <int kSide>
HWY_INLINE void transform_input(const Vec* x, Vec* y) {
  if constexpr (kSide == 2) {
    y[0] = hn::Sub(x[2], x[0]);
    y[1] = hn::Add(x[1], x[2]);
    y[2] = hn::Sub(x[2], x[1]);
    y[3] = hn::Sub(x[3], x[1]);
  } else {
    const Vec near_even = plus(x[4], -2, x[2]), near_odd = times(kNear, plus(x[3], -2, x[1]));
    const Vec far_even = plus(x[4], -.5, x[2]), far_odd = times(kFar, plus(x[3], -.5, x[1]));
    y[0] = plus(hn::Add(x[0], x[4]), -2.5, x[2]);
    y[1] = hn::Add(near_even, near_odd);
    y[2] = hn::Sub(near_even, near_odd);
    y[3] = hn::Add(far_even, far_odd);
    y[4] = hn::Sub(far_even, far_odd);
    y[5] = plus(hn::Add(x[1], x[5]), -2.5, x[3]);
  }
}

// A^T x
template <int kSide>
HWY_INLINE void transform_output(const Vec* x, Vec* y) {
  const Vec near_sum = hn::Add(x[1], x[2]), near_difference = hn::Sub(x[1], x[2]);
  if constexpr (kSide == 2) {
    y[0] = hn::Add(x[0], near_sum);
    y[1] = hn::Add(near_difference, x[3]);
  } else {
    const Vec far_sum = hn::Add(x[3], x[4]), far_difference = hn::Sub(x[3], x[4]);
    y[0] = hn::Add(hn::Add(x[0], near_sum), far_sum);
    y[1] = plus(times(kNear, near_difference), kFar, far_difference);
    y[2] = plus(times(.5, near_sum), 2, far_sum);
    y[3] = plus(plus(x[5], kNear / 2, near_difference), 2 * kFar, far_difference);
  }
}

// The tiles of a strip, transformed: to[place][tile][channel].
template <int kSide>
void transform_inputs(const Tiles& t, Strip strip, const float* x, float* to) {
  constexpr int kPlaces = kSide + 2;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kTag));
  const std::int64_t channels = t.s.channels, spread = t.spread(channels);
  for (std::int64_t i = 0; i < strip.count; ++i, to += channels) {
    const std::int64_t tile = strip.first + i, image = tile / (t.down * t.across);
    const std::int64_t top = tile / t.across % t.down * kSide - t.s.pad_top;
    const std::int64_t left = tile % t.across * kSide - t.s.pad_left;
    const bool inside =
        top >= 0 && left >= 0 && top + kPlaces <= t.s.height && left + kPlaces <= t.s.width;
    const float* from = x + ((image * t.s.height + top) * t.s.width + left) * channels;
    for (std::int64_t next = 0; next < channels; next += lanes) {
      const std::int64_t c = std::min(next, channels - lanes);
      Vec rows[kPlaces][kPlaces];  // [column][row] after the first transform
#pragma GCC unroll 6
      for (int column = 0; column < kPlaces; ++column) {
        Vec in[kPlaces];
#pragma GCC unroll 6
        for (int row = 0; row < kPlaces; ++row) {
          const bool there = inside || (top + row >= 0 && top + row < t.s.height &&
                                        left + column >= 0 && left + column < t.s.width);
          in[row] = there ? hn::LoadU(kTag, from + (row * t.s.width + column) * channels + c)
                          : hn::Zero(kTag);
        }
        transform_input<kSide>(in, rows[column]);
      }
#pragma GCC unroll 6
      for (int row = 0; row < kPlaces; ++row) {
        Vec in[kPlaces], out[kPlaces];
#pragma GCC unroll 6
        for (int column = 0; column < kPlaces; ++column) in[column] = rows[column][row];
        transform_input<kSide>(in, out);
#pragma GCC unroll 6
        for (int column = 0; column < kPlaces; ++column)
          hn::StoreU(out[column], kTag, to + (row * kPlaces + column) * spread + c);
      }
    }
  }
}

// from[place][tile][out] back to the outputs of a strip's tiles.
template <int kSide>
void transform_outputs(const Tiles& t, Strip strip, const float* from,
                       const ops::Epilogue<float>& epilogue, Target target) {
  constexpr int kPlaces = kSide + 2;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kTag));
  const std::int64_t channels = t.s.out, spread = t.spread(channels);
  const Vec low = hn::Set(kTag, epilogue.low), high = hn::Set(kTag, epilogue.high);
  for (std::int64_t i = 0; i < strip.count; ++i, from += channels) {
    const std::int64_t tile = strip.first + i, image = tile / (t.down * t.across);
    const std::int64_t top = tile / t.across % t.down * kSide, left = tile % t.across * kSide;
    const std::int64_t height = std::min<std::int64_t>(kSide, t.s.out_height - top);
    const std::int64_t width = std::min<std::int64_t>(kSide, t.s.out_width - left);
    const std::int64_t corner = (image * t.s.out_height + top) * t.s.out_width + left;
    for (std::int64_t next = 0; next < channels; next += lanes) {
      const std::int64_t c = std::min(next, channels - lanes);
      const Vec bias = epilogue.bias ? hn::LoadU(kTag, epilogue.bias + c) : hn::Zero(kTag);
      Vec rows[kPlaces][kSide];  // [column][row] after the first transform
#pragma GCC unroll 6
      for (int column = 0; column < kPlaces; ++column) {
        Vec in[kPlaces];
#pragma GCC unroll 6
        for (int row = 0; row < kPlaces; ++row)
          in[row] = hn::LoadU(kTag, from + (row * kPlaces + column) * spread + c);
        transform_output<kSide>(in, rows[column]);
      }
#pragma GCC unroll 4
      for (int row = 0; row < kSide; ++row) {
        if (row >= height) break;
        Vec in[kPlaces], out[kSide];
#pragma GCC unroll 6
        for (int column = 0; column < kPlaces; ++column) in[column] = rows[column][row];
        transform_output<kSide>(in, out);
#pragma GCC unroll 4
        for (int column = 0; column < kSide; ++column) {
          if (column >= width) break;
          const std::int64_t pixel = corner + row * t.s.out_width + column;
          Vec sum = hn::Add(out[column], bias);
          if (epilogue.addend)
            sum = hn::Add(sum, hn::LoadU(kTag, epilogue.addend + pixel * channels + c));
          hn::StoreU(bounded(sum, low, high), kTag, target.y + pixel * target.pitch + c);
        }
      }
    }
  }
}

void inputs(const Tiles& t, Strip strip, const float* x, float* to) {
  t.side == 2 ? transform_inputs<2>(t, strip, x, to) : transform_inputs<4>(t, strip, x, to);
}

void outputs(const Tiles& t, Strip strip, const float* from, const ops::Epilogue<float>& epilogue,
             Target target) {
  t.side == 2 ? transform_outputs<2>(t, strip, from, epilogue, target)
              : transform_outputs<4>(t, strip, from, epilogue, target);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(inputs);
HWY_EXPORT(outputs);

namespace {

// A strip is as tall as its two sets of matrices fit into the cache, and there are strips for all
// threads.
Tiles tiles_of(const Shape& x, const Shape& w, const Attrs& attrs, std::int64_t side,
               unsigned threads) {
  constexpr std::int64_t kCachedFloats = 3 << 16, kStripMin = 12;
  Tiles t{.s = {*ops::window_size(x, w[0], w[1], attrs), w[3]}, .side = side};
  t.down = (t.s.out_height + side - 1) / side;
  t.across = (t.s.out_width + side - 1) / side;
  const std::int64_t tallest =
      std::max(kStripMin, kCachedFloats / (t.places() * (t.s.channels + t.s.out)));
  const std::int64_t strips =
      std::max<std::int64_t>({(t.count() + tallest - 1) / tallest, std::int64_t{threads}, 1});
  t.strip = (t.count() + strips - 1) / strips;
  return t;
}

Tiles tiles_of(const NodeSpec& node, std::int64_t side) {
  return tiles_of(node.in[0].shape, node.in[1].shape, node.attrs, side, node.threads);
}

bool accepts(const NodeSpec& node) {
  if (!all_f32(node) || !node.constant_weights) return false;
  const ConvolutionSize s = tiles_of(node, 2).s;
  return s.kernel_height == 3 && s.kernel_width == 3 && s.stride_y == 1 && s.stride_x == 1 &&
         s.dilation_y == 1 && s.dilation_x == 1 && s.channels >= kChannelsMin &&
         s.out >= kChannelsMin;
}

std::size_t worker_floats(const Tiles& t) {
  return aligned_floats(t.places() * (t.spread(t.s.channels) + t.spread(t.s.out)));
}

std::int64_t place_floats(const Tiles& t) { return gemm_packed_floats(t.s.channels, t.s.out); }

// G: the kernel's polynomial at the points, over the factors that interpolation needs.
std::vector<std::array<double, 3>> kernel_transform(std::int64_t side) {
  const auto at = [](double point, double factor) {
    return std::array<double, 3>{1 / factor, point / factor, point * point / factor};
  };
  if (side == 2) return {at(0, -1), at(1, 2), at(-1, 2), {0, 0, 1}};
  return {at(0, 1), at(kNear, -1.5), at(-kNear, -1.5), at(kFar, 6), at(-kFar, 6), {0, 0, 1}};
}

void pack(const Tiles& t, const float* weights, float* packed) {
  const auto g = kernel_transform(t.side);
  const std::int64_t matrix = t.s.channels * t.s.out;
  std::vector<float> place(static_cast<std::size_t>(matrix));
  for (const auto& down : g) {
    for (const auto& across : g) {
      for (std::int64_t i = 0; i < matrix; ++i) {
        double sum = 0;
        for (std::size_t tap = 0; tap < 9; ++tap)
          sum += down[tap / 3] * across[tap % 3] *
                 static_cast<double>(weights[static_cast<std::int64_t>(tap) * matrix + i]);
        place[static_cast<std::size_t>(i)] = static_cast<float>(sum);
      }
      gemm_pack(place.data(), t.s.out, 1, t.s.channels, t.s.out, packed);
      packed += place_floats(t);
    }
  }
}

void run(const KernelArgs& args, std::int64_t side) {
  const Tiles t =
      tiles_of(args.in[0].shape(), args.in[1].shape(), args.attrs, side, args.pool.threads());
  const auto epilogue = ops::Epilogue<float>::of(args);
  const float* packed = reinterpret_cast<const float*>(args.packed);
  const auto to_places = HWY_DYNAMIC_DISPATCH(inputs);
  const auto from_places = HWY_DYNAMIC_DISPATCH(outputs);
  const Target target{args.out[0].as<float>(), args.out_pitch > 0 ? args.out_pitch : t.s.out};
  const std::int64_t in_spread = t.spread(t.s.channels), out_spread = t.spread(t.s.out);
  args.pool.parallel_for(
      static_cast<std::size_t>((t.count() + t.strip - 1) / t.strip), 1,
      [&](std::size_t begin, std::size_t end, unsigned worker) {
        float* in = reinterpret_cast<float*>(args.scratch) + worker * worker_floats(t);
        float* out = in + t.places() * in_spread;
        for (auto i = static_cast<std::int64_t>(begin); i < static_cast<std::int64_t>(end); ++i) {
          const Strip strip{i * t.strip, std::min(t.strip, t.count() - i * t.strip)};
          to_places(t, strip, args.in[0].as<float>(), in);
          for (std::int64_t place = 0; place < t.places(); ++place) {
            gemm({.m = strip.count,
                  .n = t.s.out,
                  .k = t.s.channels,
                  .a = in + place * in_spread,
                  .a_row = t.s.channels,
                  .a_k = 1,
                  .packed = packed + place * place_floats(t),
                  .panel_stride = t.s.channels * gemm_panel_width(),
                  .c = out + place * out_spread,
                  .c_row = t.s.out});
          }
          from_places(t, strip, out, epilogue, target);
        }
      });
}

// In multiplications of a product: what it takes to transform a number, and to read a weight from
// memory. As if by one thread, so that the choice, and with it the result, is the same for any
// number.
double cost(const NodeSpec& node, std::int64_t side) {
  const Tiles t = tiles_of(node.in[0].shape, node.in[1].shape, node.attrs, side, 1);
  constexpr double kTransform = 6, kLoad = 25;
  const auto in = static_cast<double>(t.s.channels), out = static_cast<double>(t.s.out);
  const auto places = static_cast<double>(t.places()), count = static_cast<double>(t.count());
  const double strips = std::ceil(count / static_cast<double>(t.strip));
  const double compute = places * count * in * out + kTransform * places * count * (in + out);
  const double loads = kLoad * places * in * out * strips;
  return gemm_seconds(std::max(compute, loads));
}

// The two rows.

template <std::int64_t kSide>
constexpr Kernel row(const char* name) {
  return {.op = OpKind::kConv2d,
          .name = name,
          .accepts = accepts,
          .cost = [](const NodeSpec& node) { return cost(node, kSide); },
          .run = [](const KernelArgs& args) { run(args, kSide); },
          .scratch_bytes =
              [](const NodeSpec& node) {
                return worker_floats(tiles_of(node, kSide)) * sizeof(float) * node.threads;
              },
          .packed_bytes =
              [](const NodeSpec& node) {
                const Tiles t = tiles_of(node, kSide);
                return static_cast<std::size_t>(t.places() * place_floats(t)) * sizeof(float);
              },
          .pack =
              [](const NodeSpec& node, const TensorView& weights, std::byte* packed) {
                pack(tiles_of(node, kSide), weights.as<float>(), reinterpret_cast<float*>(packed));
              }};
}

constexpr Kernel kRows[] = {row<2>("conv2d_winograd_2x2"), row<4>("conv2d_winograd_4x4")};

}  // namespace

std::span<const Kernel> winograd_kernels() { return kRows; }

}  // namespace inkling::cpu
#endif
