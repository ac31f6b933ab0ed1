// Pooling, vectors over channels. The last vector of a pixel overlaps the one before it, so that no
// channel count needs a tail. The gradient of max_pool works an image at a time: images are
// independent.

#include <limits>

#include "runtime/backends/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/pooling.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef INK_POOLING
#define INK_POOLING
namespace inkling::cpu {
namespace {

// The part of a window that lies inside the image, as taps: rows [y, y_end), columns [x, x_end).
struct Inside {
  std::int64_t top, left;  // of the whole window, in the image
  std::int64_t y, y_end, x, x_end;

  Inside(const ops::WindowSize& s, std::int64_t oy, std::int64_t ox)
      : top(oy * s.stride_y - s.pad_top), left(ox * s.stride_x - s.pad_left) {
    const auto first = [](std::int64_t at, std::int64_t step) {
      return at >= 0 ? 0 : (step - 1 - at) / step;
    };
    const auto end = [](std::int64_t at, std::int64_t step, std::int64_t taps, std::int64_t size) {
      return at + (taps - 1) * step < size ? taps : (size - at + step - 1) / step;
    };
    y = first(top, s.dilation_y);
    x = first(left, s.dilation_x);
    y_end = end(top, s.dilation_y, s.kernel_height, s.height);
    x_end = end(left, s.dilation_x, s.kernel_width, s.width);
  }
  bool whole(const ops::WindowSize& s) const {
    return x == 0 && y == 0 && y_end == s.kernel_height && x_end == s.kernel_width;
  }
  bool empty() const { return y >= y_end || x >= x_end; }  // a window of padding alone
  // Floats from the image's first pixel to the one under a tap.
  std::int64_t pixel(const ops::WindowSize& s, std::int64_t ky, std::int64_t kx) const {
    return ((top + ky * s.dilation_y) * s.width + left + kx * s.dilation_x) * s.channels;
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

// What is done with a window and one vector of channels. kSide: of a square window that lies inside
// the image, which unrolls the loops over its taps; 0 for any other.

template <int kSide>
Inside with_side(Inside in) {
  if (kSide > 0) {
    in.y = in.x = 0;
    in.y_end = in.x_end = kSide;
  }
  return in;
}

// y = the largest.
struct Largest {
  const ops::WindowSize& s;
  const float* image;
  float* y;  // of the row of outputs

  template <int kSide, typename Tag>
  HWY_INLINE void run(Tag tag, const Inside& any, std::int64_t ox, std::int64_t c) const {
    const Inside in = with_side<kSide>(any);
    auto largest = hn::Set(tag, -std::numeric_limits<float>::infinity());
    for (std::int64_t ky = in.y; ky < in.y_end; ++ky) {
      const float* from = image + in.pixel(s, ky, in.x) + c;
      for (std::int64_t kx = in.x; kx < in.x_end; ++kx, from += s.dilation_x * s.channels) {
        const auto x = hn::LoadU(tag, from);
        largest = hn::IfThenElse(hn::Lt(largest, x), x, largest);
      }
    }
    hn::StoreU(largest, tag, y + ox * s.channels + c);
  }
};

// dx = dy at the first largest pixel of a window that shares none with another, zero at its others.
struct GiveToLargest {
  const ops::WindowSize& s;
  const float* image;
  const float* dy;  // of the row of outputs
  float* dx;        // of the image

  template <int kSide, typename Tag>
  HWY_INLINE void run(Tag tag, const Inside& any, std::int64_t ox, std::int64_t c) const {
    const Inside in = with_side<kSide>(any);
    if (in.empty()) return;
    auto largest = hn::LoadU(tag, image + in.pixel(s, in.y, in.x) + c);
    auto at = hn::Zero(tag);  // its place among the taps inside
    float place = 0;
    const std::int64_t step = s.dilation_x * s.channels;
    for (std::int64_t ky = in.y; ky < in.y_end; ++ky) {
      const float* from = image + in.pixel(s, ky, in.x) + c;
      for (std::int64_t kx = in.x; kx < in.x_end; ++kx, ++place, from += step) {
        const auto x = hn::LoadU(tag, from);
        const auto larger = hn::Gt(x, largest);
        largest = hn::IfThenElse(larger, x, largest);
        at = hn::IfThenElse(larger, hn::Set(tag, place), at);
      }
    }
    const auto given = hn::LoadU(tag, dy + ox * s.channels + c);
    place = 0;
    for (std::int64_t ky = in.y; ky < in.y_end; ++ky) {
      float* to = dx + in.pixel(s, ky, in.x) + c;
      for (std::int64_t kx = in.x; kx < in.x_end; ++kx, ++place, to += step) {
        const auto here = hn::Eq(at, hn::Set(tag, place));
        hn::StoreU(hn::IfThenElseZero(here, given), tag, to);
      }
    }
  }
};

// For each vector of channels of the output pixels (oy, 0..out_width).
template <typename Tag, typename Window>
bool all_channels(Tag tag, const ops::WindowSize& s, std::int64_t oy, const Window& window) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  if (s.channels < lanes) return false;
  const bool pairs = s.kernel_height == 2 && s.kernel_width == 2;
  for (std::int64_t ox = 0; ox < s.out_width; ++ox) {
    const Inside in(s, oy, ox);
    const bool whole_pair = pairs && in.whole(s);
    for (std::int64_t next = 0; next < s.channels; next += lanes) {
      const std::int64_t c = std::min(next, s.channels - lanes);
      if (whole_pair) {
        window.template run<2>(tag, in, ox, c);
      } else {
        window.template run<0>(tag, in, ox, c);
      }
    }
  }
  return true;
}

template <typename Window>
void each_window(const ops::WindowSize& s, std::int64_t oy, const Window& window) {
  if (all_channels(hn::ScalableTag<float>(), s, oy, window)) return;
  if (all_channels(hn::CappedTag<float, 8>(), s, oy, window)) return;
  if (all_channels(hn::CappedTag<float, 4>(), s, oy, window)) return;
  all_channels(hn::CappedTag<float, 1>(), s, oy, window);
}

void largest_row(const ops::WindowSize& s, std::int64_t oy, const float* image, float* y) {
  each_window(s, oy, Largest{s, image, y});
}

void give_row(const ops::WindowSize& s, std::int64_t oy, const float* image, const float* dy,
              float* dx) {
  each_window(s, oy, GiveToLargest{s, image, dy, dx});
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(largest_row);
HWY_EXPORT(give_row);

namespace {

ops::WindowSize size_of(const Shape& x, const Attrs& attrs) {
  const auto& kernel = attrs.integers(Attr::kKernel);
  return *ops::window_size(x, kernel[0], kernel[1], attrs);
}

std::int64_t image_floats(const ops::WindowSize& s) { return s.height * s.width * s.channels; }
std::int64_t out_row_floats(const ops::WindowSize& s) { return s.out_width * s.channels; }

// Calls body(output row of all images) in parallel.
template <typename Body>
void each_out_row(const KernelArgs& args, const ops::WindowSize& s, const Body& body) {
  const double work = static_cast<double>(s.out_width * s.channels) *
                      static_cast<double>(s.kernel_height * s.kernel_width) / 4;
  args.pool.parallel_for(static_cast<std::size_t>(s.batch * s.out_height), grain_for(work),
                         [&](std::size_t begin, std::size_t end, unsigned) {
                           for (auto row = static_cast<std::int64_t>(begin);
                                row < static_cast<std::int64_t>(end); ++row)
                             body(row);
                         });
}

void max_pool_run(const KernelArgs& args) {
  const auto s = size_of(args.in[0].shape(), args.attrs);
  const auto largest = HWY_DYNAMIC_DISPATCH(largest_row);
  each_out_row(args, s, [&](std::int64_t row) {
    largest(s, row % s.out_height, args.in[0].as<float>() + row / s.out_height * image_floats(s),
            args.out[0].as<float>() + row * out_row_floats(s));
  });
}

// No two windows share a pixel.
bool disjoint(const ops::WindowSize& s) {
  return s.stride_y > (s.kernel_height - 1) * s.dilation_y &&
         s.stride_x > (s.kernel_width - 1) * s.dilation_x;
}

// Windows that may share pixels: dx += dy at the first largest pixel.
void add_row(const ops::WindowSize& s, std::int64_t oy, const float* image, const float* dy,
             float* dx) {
  for (std::int64_t ox = 0; ox < s.out_width; ++ox, dy += s.channels) {
    const Inside in(s, oy, ox);
    if (in.empty()) continue;
    for (std::int64_t c = 0; c < s.channels; ++c) {
      std::int64_t at = in.pixel(s, in.y, in.x);
      for (std::int64_t ky = in.y; ky < in.y_end; ++ky) {
        for (std::int64_t kx = in.x; kx < in.x_end; ++kx) {
          const std::int64_t pixel = in.pixel(s, ky, kx);
          if (image[pixel + c] > image[at + c]) at = pixel;
        }
      }
      dx[at + c] += dy[c];
    }
  }
}

void max_pool_gradient_run(const KernelArgs& args) {
  const auto s = size_of(args.in[0].shape(), args.attrs);
  const auto give = disjoint(s) ? HWY_DYNAMIC_DISPATCH(give_row) : add_row;
  args.pool.parallel_for(
      static_cast<std::size_t>(s.batch), 1, [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto n = static_cast<std::int64_t>(begin); n < static_cast<std::int64_t>(end); ++n) {
          const float* image = args.in[0].as<float>() + n * image_floats(s);
          float* dx = args.out[0].as<float>() + n * image_floats(s);
          std::fill_n(dx, image_floats(s), 0.0f);
          for (std::int64_t oy = 0; oy < s.out_height; ++oy) {
            give(s, oy, image, args.in[1].as<float>() + (n * s.out_height + oy) * out_row_floats(s),
                 dx);
          }
        }
      });
}

void avg_pool_run(const KernelArgs& args) {
  const auto s = size_of(args.in[0].shape(), args.attrs);
  const bool count_padding = args.attrs.integer(Attr::kCountPadding) != 0;
  each_out_row(args, s, [&](std::int64_t row) {
    const float* image = args.in[0].as<float>() + row / s.out_height * image_floats(s);
    float* y = args.out[0].as<float>() + row * out_row_floats(s);
    for (std::int64_t ox = 0; ox < s.out_width; ++ox, y += s.channels) {
      const Inside in(s, row % s.out_height, ox);
      std::fill_n(y, s.channels, 0.0f);
      for (std::int64_t ky = in.y; ky < in.y_end; ++ky) {
        for (std::int64_t kx = in.x; kx < in.x_end; ++kx) {
          const float* x = image + in.pixel(s, ky, kx);
          for (std::int64_t c = 0; c < s.channels; ++c) y[c] += x[c];
        }
      }
      const std::int64_t inside = in.empty() ? 1 : (in.y_end - in.y) * (in.x_end - in.x);
      const std::int64_t count = count_padding ? s.kernel_height * s.kernel_width : inside;
      const float share = 1.0f / static_cast<float>(count);
      for (std::int64_t c = 0; c < s.channels; ++c) y[c] *= share;
    }
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
#endif
