// Depthwise convolution and its input gradient, a row of the result at a time.

#include "runtime/backends/cpu/depthwise.h"

#include "runtime/backends/cpu/cpu.h"
#include "runtime/backends/cpu/taps.h"

namespace inkling::cpu {

namespace {

double row_work(const ops::WindowSize& s) {
  return static_cast<double>(s.width * s.channels * s.kernel_height * s.kernel_width) / 8;
}

double seconds(const ops::WindowSize& s) {
  return simple_seconds(
      static_cast<double>(s.out_pixels() * s.channels * s.kernel_height * s.kernel_width) / 4);
}

// Forward.

ops::WindowSize forward_size(const Shape& x, const Shape& w, const Attrs& attrs) {
  return *ops::window_size(x, w[0], w[1], attrs);
}

// Of output (oy, ox), and of the run of outputs from there on that inside() counts.
Taps forward_taps(const ops::WindowSize& s, const RowRing& x, std::int64_t oy, std::int64_t ox) {
  Taps taps;
  for (std::int64_t ky = 0; ky < s.kernel_height; ++ky) {
    const std::int64_t iy = oy * s.stride_y - s.pad_top + ky * s.dilation_y;
    if (iy < 0 || iy >= s.height) continue;
    for (std::int64_t kx = 0; kx < s.kernel_width; ++kx) {
      const std::int64_t reach = kx * s.dilation_x - s.pad_left;
      const std::int64_t ix = ox * s.stride_x + reach;
      if (ix >= 0 && ix < s.width)
        taps.add((iy % x.rows * s.width + reach) * s.channels,
                 (ky * s.kernel_width + kx) * s.channels);
    }
  }
  return taps;
}

// How many outputs from ox on have all columns of their windows inside the image.
std::int64_t inside(const ops::WindowSize& s, std::int64_t ox) {
  const std::int64_t left = ox * s.stride_x - s.pad_left;
  const std::int64_t room = s.width - 1 - (s.kernel_width - 1) * s.dilation_x - left;
  if (left < 0 || room < 0) return 0;
  return std::min(s.out_width - ox, room / s.stride_x + 1);
}

void forward(const KernelArgs& args) {
  const ops::WindowSize s = forward_size(args.in[0].shape(), args.in[1].shape(), args.attrs);
  const auto epilogue = ops::Epilogue<float>::of(args);
  args.pool.parallel_for(
      static_cast<std::size_t>(s.batch * s.out_height), grain_for(row_work(s)),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto r = static_cast<std::int64_t>(begin); r < static_cast<std::int64_t>(end); ++r) {
          const float* image =
              args.in[0].as<float>() + r / s.out_height * s.height * s.width * s.channels;
          depthwise_row(s, {image, s.height}, r % s.out_height, args.in[1].as<float>(), epilogue,
                        args.out[0].as<float>() + r * s.out_width * s.channels);
        }
      });
}

bool forward_accepts(const NodeSpec& node) {
  const Shape& w = node.in[1].shape;
  return all_f32(node) && w[0] * w[1] <= kDepthwiseTapsMax;
}

double forward_cost(const NodeSpec& node) {
  return seconds(forward_size(node.in[0].shape, node.in[1].shape, node.attrs));
}

// Input gradient.

// Output `o` reads image pixel `i` by tap `k` where o * stride + k * dilation = i + padding.
std::int64_t reader(std::int64_t place, std::int64_t reach, std::int64_t stride,
                    std::int64_t outputs) {
  const std::int64_t from = place - reach;
  if (from < 0 || from % stride != 0) return -1;
  return from / stride < outputs ? from / stride : -1;
}

// Of pixel (iy, ix), relative to output column ix.
Taps gradient_taps(const ops::WindowSize& s, std::int64_t iy, std::int64_t ix) {
  Taps taps;
  for (std::int64_t ky = 0; ky < s.kernel_height; ++ky) {
    const std::int64_t oy = reader(iy + s.pad_top, ky * s.dilation_y, s.stride_y, s.out_height);
    if (oy < 0) continue;
    for (std::int64_t kx = 0; kx < s.kernel_width; ++kx) {
      const std::int64_t ox = reader(ix + s.pad_left, kx * s.dilation_x, s.stride_x, s.out_width);
      if (ox >= 0)
        taps.add((oy * s.out_width + ox - ix) * s.channels,
                 (ky * s.kernel_width + kx) * s.channels);
    }
  }
  return taps;
}

// How many pixels from ix on are read by outputs inside for every column of the kernel.
std::int64_t read_by_all(const ops::WindowSize& s, std::int64_t ix) {
  const std::int64_t place = ix + s.pad_left;
  if (s.stride_x != 1 || place < (s.kernel_width - 1) * s.dilation_x) return 0;
  return std::min(s.width - ix, s.out_width - place);
}

void input_gradient(const KernelArgs& args) {
  const ops::WindowSize s = forward_size(args.out[0].shape(), args.in[1].shape(), args.attrs);
  const auto none = ops::Epilogue<float>::of(args);
  args.pool.parallel_for(
      static_cast<std::size_t>(s.batch * s.height), grain_for(row_work(s)),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto r = static_cast<std::int64_t>(begin); r < static_cast<std::int64_t>(end); ++r) {
          const float* dy =
              args.in[0].as<float>() + r / s.height * s.out_height * s.out_width * s.channels;
          float* dx = args.out[0].as<float>() + r * s.width * s.channels;
          for (std::int64_t ix = 0; ix < s.width;) {
            const std::int64_t pixels = std::max<std::int64_t>(1, read_by_all(s, ix));
            sum_taps(gradient_taps(s, r % s.height, ix),
                     {dy + ix * s.channels, s.channels, pixels, dx + ix * s.channels},
                     args.in[1].as<float>(), s.channels, none);
            ix += pixels;
          }
        }
      });
}

double gradient_cost(const NodeSpec& node) {
  return seconds(forward_size(node.out[0].shape, node.in[1].shape, node.attrs));
}

constexpr Kernel kRows[] = {
    {.op = OpKind::kDepthwiseConv2d,
     .name = "depthwise_conv2d_taps",
     .accepts = forward_accepts,
     .cost = forward_cost,
     .run = forward},
    {.op = OpKind::kDepthwiseConv2dInputGradient,
     .name = "depthwise_conv2d_input_gradient_taps",
     .accepts = forward_accepts,
     .cost = gradient_cost,
     .run = input_gradient},
};

}  // namespace

void depthwise_row(const ops::WindowSize& s, const RowRing& x, std::int64_t oy,
                   const float* weights, const ops::Epilogue<float>& epilogue, float* y) {
  const std::int64_t step = s.stride_x * s.channels;
  for (std::int64_t ox = 0; ox < s.out_width;) {
    const std::int64_t pixels = std::max<std::int64_t>(1, inside(s, ox));
    sum_taps(forward_taps(s, x, oy, ox), {x.first + ox * step, step, pixels, y + ox * s.channels},
             weights, s.channels, epilogue);
    ox += pixels;
  }
}

std::span<const Kernel> depthwise_kernels() { return kRows; }

}  // namespace inkling::cpu
