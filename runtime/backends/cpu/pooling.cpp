// Pooling, channels innermost so that the compiler vectorises over them. The gradient of max_pool
// works an image at a time: images are independent.

#include <limits>

#include "runtime/backends/cpu/cpu.h"

namespace inkling::cpu {

namespace {

ops::WindowSize size_of(const Shape& x, const Attrs& attrs) {
  const auto& kernel = attrs.integers(Attr::kKernel);
  return *ops::window_size(x, kernel[0], kernel[1], attrs);
}

// Calls body(input pixel within its image) for the pixels of output pixel p's window that lie
// inside.
template <typename Body>
void window_pixels(const ops::WindowSize& s, std::int64_t p, const Body& body) {
  const std::int64_t top = p / s.out_width % s.out_height * s.stride_y - s.pad_top;
  const std::int64_t left = p % s.out_width * s.stride_x - s.pad_left;
  for (std::int64_t ky = 0; ky < s.kernel_height; ++ky) {
    const std::int64_t iy = top + ky * s.dilation_y;
    if (iy < 0 || iy >= s.height) continue;
    for (std::int64_t kx = 0; kx < s.kernel_width; ++kx) {
      const std::int64_t ix = left + kx * s.dilation_x;
      if (ix >= 0 && ix < s.width) body(iy * s.width + ix);
    }
  }
}

template <typename Body>
void each_out_pixel(const KernelArgs& args, const ops::WindowSize& s, const Body& body) {
  const double work = static_cast<double>(s.channels * s.kernel_height * s.kernel_width) / 4;
  args.pool.parallel_for(static_cast<std::size_t>(s.out_pixels()), grain_for(work),
                         [&](std::size_t begin, std::size_t end, unsigned) {
                           for (auto p = static_cast<std::int64_t>(begin);
                                p < static_cast<std::int64_t>(end); ++p)
                             body(p);
                         });
}

const float* image_of(const ops::WindowSize& s, const float* x, std::int64_t p) {
  return x + p / (s.out_height * s.out_width) * s.height * s.width * s.channels;
}

void max_pool_run(const KernelArgs& args) {
  const auto s = size_of(args.in[0].shape(), args.attrs);
  each_out_pixel(args, s, [&](std::int64_t p) {
    const float* image = image_of(s, args.in[0].as<float>(), p);
    float* y = args.out[0].as<float>() + p * s.channels;
    std::fill_n(y, s.channels, -std::numeric_limits<float>::infinity());
    window_pixels(s, p, [&](std::int64_t pixel) {
      const float* x = image + pixel * s.channels;
      for (std::int64_t c = 0; c < s.channels; ++c) y[c] = std::max(y[c], x[c]);
    });
  });
}

constexpr std::int64_t kBlock = 32;  // channels whose largest pixels are looked for together

// Adds dy to the first largest pixel of window p, for each of `channels` channels.
void give_to_largest(const ops::WindowSize& s, std::int64_t p, const float* image,
                     std::int64_t channels, const float* dy, float* dx) {
  float largest[kBlock];
  std::int32_t at[kBlock];
  bool first = true;
  window_pixels(s, p, [&](std::int64_t pixel) {
    const float* x = image + pixel * s.channels;
    const auto here = static_cast<std::int32_t>(pixel);
    for (std::int64_t c = 0; c < channels; ++c) {
      const bool larger = first || x[c] > largest[c];
      largest[c] = larger ? x[c] : largest[c];
      at[c] = larger ? here : at[c];
    }
    first = false;
  });
  if (first) return;  // a window of padding alone
  for (std::int64_t c = 0; c < channels; ++c) dx[at[c] * s.channels + c] += dy[c];
}

void max_pool_gradient_run(const KernelArgs& args) {
  const auto s = size_of(args.in[0].shape(), args.attrs);
  const std::int64_t image_floats = s.height * s.width * s.channels,
                     windows = s.out_height * s.out_width;
  args.pool.parallel_for(
      static_cast<std::size_t>(s.batch), 1, [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto n = static_cast<std::int64_t>(begin); n < static_cast<std::int64_t>(end); ++n) {
          const float* image = args.in[0].as<float>() + n * image_floats;
          float* dx = args.out[0].as<float>() + n * image_floats;
          std::fill_n(dx, image_floats, 0.0f);
          for (std::int64_t p = n * windows; p < (n + 1) * windows; ++p) {
            const float* dy = args.in[1].as<float>() + p * s.channels;
            for (std::int64_t c = 0; c < s.channels; c += kBlock)
              give_to_largest(s, p, image + c, std::min(kBlock, s.channels - c), dy + c, dx + c);
          }
        }
      });
}

void avg_pool_run(const KernelArgs& args) {
  const auto s = size_of(args.in[0].shape(), args.attrs);
  const bool count_padding = args.attrs.integer(Attr::kCountPadding) != 0;
  each_out_pixel(args, s, [&](std::int64_t p) {
    const float* image = image_of(s, args.in[0].as<float>(), p);
    float* y = args.out[0].as<float>() + p * s.channels;
    std::fill_n(y, s.channels, 0.0f);
    std::int64_t count = 0;
    window_pixels(s, p, [&](std::int64_t pixel) {
      const float* x = image + pixel * s.channels;
      for (std::int64_t c = 0; c < s.channels; ++c) y[c] += x[c];
      ++count;
    });
    if (count_padding) count = s.kernel_height * s.kernel_width;
    const float share = 1.0f / static_cast<float>(std::max<std::int64_t>(count, 1));
    for (std::int64_t c = 0; c < s.channels; ++c) y[c] *= share;
  });
}

double cost(const NodeSpec& node) {
  const auto s = size_of(node.in[0].shape, node.attrs);
  return simple_seconds(
      static_cast<double>(s.out_pixels() * s.channels * s.kernel_height * s.kernel_width));
}

constexpr Kernel kRows[] = {
    {.op = OpKind::kMaxPool,
     .name = "max_pool_channels",
     .accepts = all_f32,
     .cost = cost,
     .run = max_pool_run},
    {.op = OpKind::kMaxPoolGradient,
     .name = "max_pool_gradient_images",
     .accepts = all_f32,
     .cost = cost,
     .run = max_pool_gradient_run},
    {.op = OpKind::kAvgPool,
     .name = "avg_pool_channels",
     .accepts = all_f32,
     .cost = cost,
     .run = avg_pool_run},
};

}  // namespace

std::span<const Kernel> pooling_kernels() { return kRows; }

}  // namespace inkling::cpu
