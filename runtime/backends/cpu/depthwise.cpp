// Depthwise convolution, forward: vectors run over channels, the taps of an output pixel are summed
// in registers. The last vector of a pixel overlaps the one before it, so that no channel count
// needs a tail.

#include "runtime/backends/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/depthwise.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// One vector of channels of the output pixels (oy, 0..out_width) of an image.
template <typename Tag>
HWY_INLINE void channel_row(Tag tag, const ops::WindowSize& s, const ops::Epilogue<float>& epilogue,
                            bool clamp, const float* image, const float* weights, std::int64_t oy,
                            std::int64_t c, float* y) {
  const auto low = hn::Set(tag, epilogue.low), high = hn::Set(tag, epilogue.high);
  const auto bias = epilogue.bias ? hn::LoadU(tag, epilogue.bias + c) : hn::Zero(tag);
  const std::int64_t top = oy * s.stride_y - s.pad_top;
  for (std::int64_t ox = 0; ox < s.out_width; ++ox) {
    const std::int64_t left = ox * s.stride_x - s.pad_left;
    auto acc = bias;
    for (std::int64_t ky = 0; ky < s.kernel_height; ++ky) {
      const std::int64_t iy = top + ky * s.dilation_y;
      if (iy < 0 || iy >= s.height) continue;
      const float* row = image + iy * s.width * s.channels + c;
      const float* w = weights + ky * s.kernel_width * s.channels + c;
      for (std::int64_t kx = 0; kx < s.kernel_width; ++kx) {
        const std::int64_t ix = left + kx * s.dilation_x;
        if (ix < 0 || ix >= s.width) continue;
        acc = hn::MulAdd(hn::LoadU(tag, row + ix * s.channels), hn::LoadU(tag, w + kx * s.channels),
                         acc);
      }
    }
    if (clamp) acc = hn::Min(hn::Max(acc, low), high);
    hn::StoreU(acc, tag, y + ox * s.channels + c);
  }
}

template <typename Tag>
bool all_channels(Tag tag, const ops::WindowSize& s, const ops::Epilogue<float>& epilogue,
                  bool clamp, const float* image, const float* weights, std::int64_t oy, float* y) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  if (s.channels < lanes) return false;
  for (std::int64_t c = 0; c < s.channels; c += lanes) {
    channel_row(tag, s, epilogue, clamp, image, weights, oy, std::min(c, s.channels - lanes), y);
  }
  return true;
}

void row(const ops::WindowSize& s, const ops::Epilogue<float>& epilogue, bool clamp,
         const float* image, const float* weights, std::int64_t oy, float* y) {
  if (all_channels(hn::ScalableTag<float>(), s, epilogue, clamp, image, weights, oy, y)) return;
  if (all_channels(hn::CappedTag<float, 4>(), s, epilogue, clamp, image, weights, oy, y)) return;
  all_channels(hn::CappedTag<float, 1>(), s, epilogue, clamp, image, weights, oy, y);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(row);

namespace {

ops::WindowSize size_of(const Shape& x, const Shape& w, const Attrs& attrs) {
  return *ops::window_size(x, w[0], w[1], attrs);
}

void forward(const KernelArgs& args) {
  const ops::WindowSize s = size_of(args.in[0].shape(), args.in[1].shape(), args.attrs);
  const auto epilogue = ops::Epilogue<float>::of(args);
  const bool clamp = args.attrs.has(Attr::kMin);
  const float* x = args.in[0].as<float>();
  const float* weights = args.in[1].as<float>();
  float* y = args.out[0].as<float>();
  const auto row_of = HWY_DYNAMIC_DISPATCH(row);
  const double row_work =
      static_cast<double>(s.out_width * s.channels * s.kernel_height * s.kernel_width) / 8;
  args.pool.parallel_for(
      static_cast<std::size_t>(s.batch * s.out_height), grain_for(row_work),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto r = static_cast<std::int64_t>(begin); r < static_cast<std::int64_t>(end); ++r) {
          const float* image = x + r / s.out_height * s.height * s.width * s.channels;
          row_of(s, epilogue, clamp, image, weights, r % s.out_height,
                 y + r * s.out_width * s.channels);
        }
      });
}

double cost(const NodeSpec& node) {
  const ops::WindowSize s = size_of(node.in[0].shape, node.in[1].shape, node.attrs);
  return simple_seconds(
      static_cast<double>(s.out_pixels() * s.channels * s.kernel_height * s.kernel_width) / 4);
}

constexpr Kernel kRows[] = {{.op = OpKind::kDepthwiseConv2d,
                             .name = "depthwise_conv2d_rows",
                             .accepts = all_f32,
                             .cost = cost,
                             .run = forward}};

}  // namespace

std::span<const Kernel> depthwise_kernels() { return kRows; }

}  // namespace inkling::cpu
#endif
