// The weight gradient of a depthwise convolution, a row of outputs at a time: vectors run over
// channels, and the taps of a kernel row stay in registers along the row. The rows are cut into
// parts, whose sums are added in order.

#include "runtime/backends/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/depthwise_weight_gradient.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// One row of outputs and the image row that a kernel row reads for it.
struct RowPair {
  const ops::WindowSize& s;
  const float* x;
  const float* dy;
};

// sums[kx] of the taps [kx, kx + kTaps) of a kernel row += x dy, for one vector of channels.
template <int kTaps, typename Tag>
HWY_INLINE void add_taps(Tag tag, const RowPair& rows, std::int64_t kx, std::int64_t c,
                         float* sums) {
  const ops::WindowSize& s = rows.s;
  const std::int64_t step = s.stride_x * s.channels, left = kx - s.pad_left;
  // Outputs whose taps all lie inside the image: [first, last).
  const std::int64_t first = left >= 0 ? 0 : (s.stride_x - 1 - left) / s.stride_x;
  const std::int64_t room = s.width - kTaps - left;
  const std::int64_t last = room < 0 ? 0 : std::min(s.out_width, room / s.stride_x + 1);
  hn::Vec<Tag> acc[kTaps];
#pragma GCC unroll 5
  for (int t = 0; t < kTaps; ++t) acc[t] = hn::LoadU(tag, sums + (kx + t) * s.channels + c);
  const float* x = rows.x + left * s.channels + c;
  const float* dy = rows.dy + c;
  for (std::int64_t ox = first; ox < last; ++ox) {
    const auto d = hn::LoadU(tag, dy + ox * s.channels);
#pragma GCC unroll 5
    for (int t = 0; t < kTaps; ++t)
      acc[t] = hn::MulAdd(hn::LoadU(tag, x + ox * step + t * s.channels), d, acc[t]);
  }
  for (std::int64_t ox = 0; ox < s.out_width; ++ox) {
    if (ox == first && first < last) ox = last;
    if (ox >= s.out_width) break;
    const auto d = hn::LoadU(tag, dy + ox * s.channels);
#pragma GCC unroll 5
    for (int t = 0; t < kTaps; ++t) {
      const std::int64_t ix = ox * s.stride_x + left + t;
      if (ix < 0 || ix >= s.width) continue;
      acc[t] = hn::MulAdd(hn::LoadU(tag, x + ox * step + t * s.channels), d, acc[t]);
    }
  }
#pragma GCC unroll 5
  for (int t = 0; t < kTaps; ++t) hn::StoreU(acc[t], tag, sums + (kx + t) * s.channels + c);
}

// As many whole vectors as fit from channel c on; how far that was.
template <typename Tag>
HWY_INLINE std::int64_t add_channels(Tag tag, const RowPair& rows, std::int64_t c, float* sums) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const std::int64_t taps = rows.s.kernel_width;
  for (; c + lanes <= rows.s.channels; c += lanes) {
    if (taps == 5) {
      add_taps<5>(tag, rows, 0, c, sums);
    } else if (taps == 3) {
      add_taps<3>(tag, rows, 0, c, sums);
    } else {
      for (std::int64_t kx = 0; kx < taps; ++kx) add_taps<1>(tag, rows, kx, c, sums);
    }
  }
  return c;
}

// sums += what a row of outputs gives to the taps of kernel row ky, which reads the image row x.
void weight_gradient_row(const ops::WindowSize& s, const float* x, const float* dy, float* sums) {
  const RowPair rows{s, x, dy};
  std::int64_t c = add_channels(hn::ScalableTag<float>(), rows, 0, sums);
  c = add_channels(hn::CappedTag<float, 8>(), rows, c, sums);
  c = add_channels(hn::CappedTag<float, 4>(), rows, c, sums);
  add_channels(hn::CappedTag<float, 1>(), rows, c, sums);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(weight_gradient_row);

namespace {

double seconds(const ops::WindowSize& s) {
  return simple_seconds(
      static_cast<double>(s.out_pixels() * s.channels * s.kernel_height * s.kernel_width) / 4);
}

constexpr std::int64_t kParts = 16;

ops::WindowSize weight_size(const Shape& x, const Attrs& attrs) {
  const auto& kernel = attrs.integers(Attr::kKernel);
  return *ops::window_size(x, kernel[0], kernel[1], attrs);
}

bool weight_accepts(const NodeSpec& node) {
  return all_f32(node) && weight_size(node.in[0].shape, node.attrs).dilation_x == 1;
}

double weight_cost(const NodeSpec& node) {
  return seconds(weight_size(node.in[0].shape, node.attrs));
}

std::size_t weight_scratch(const NodeSpec& node) {
  return aligned_floats(node.out[0].shape.elements()) * kParts * sizeof(float);
}

void weight_gradient(const KernelArgs& args) {
  const ops::WindowSize s = weight_size(args.in[0].shape(), args.attrs);
  const auto add_row = HWY_DYNAMIC_DISPATCH(weight_gradient_row);
  const std::int64_t floats = args.out[0].elements(), rows = s.batch * s.out_height;
  const std::size_t sum_floats = aligned_floats(floats);
  float* sums = reinterpret_cast<float*>(args.scratch);
  args.pool.parallel_for(kParts, 1, [&](std::size_t begin, std::size_t end, unsigned) {
    for (auto part = static_cast<std::int64_t>(begin); part < static_cast<std::int64_t>(end);
         ++part) {
      float* sum = sums + static_cast<std::size_t>(part) * sum_floats;
      std::fill_n(sum, floats, 0.0f);
      for (std::int64_t r = rows * part / kParts; r < rows * (part + 1) / kParts; ++r) {
        const float* dy = args.in[1].as<float>() + r * s.out_width * s.channels;
        const float* image =
            args.in[0].as<float>() + r / s.out_height * s.height * s.width * s.channels;
        for (std::int64_t ky = 0; ky < s.kernel_height; ++ky) {
          const std::int64_t iy = r % s.out_height * s.stride_y - s.pad_top + ky * s.dilation_y;
          if (iy < 0 || iy >= s.height) continue;
          add_row(s, image + iy * s.width * s.channels, dy, sum + ky * s.kernel_width * s.channels);
        }
      }
    }
  });
  add_up({sums, kParts, sum_floats}, floats, args.out[0].as<float>());
}

constexpr Kernel kRows[] = {
    {.op = OpKind::kDepthwiseConv2dWeightGradient,
     .name = "depthwise_conv2d_weight_gradient_rows",
     .accepts = weight_accepts,
     .cost = weight_cost,
     .run = weight_gradient,
     .scratch_bytes = weight_scratch},
};

}  // namespace

std::span<const Kernel> depthwise_weight_gradient_kernels() { return kRows; }

}  // namespace inkling::cpu
#endif
