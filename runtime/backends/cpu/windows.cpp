#include "runtime/backends/cpu/windows.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/windows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

void advance(const ConvolutionSize& s, Pixel& at) {  // to the next output pixel
  if (++at.x < s.out_width) return;
  at.x = 0;
  if (++at.y < s.out_height) return;
  at.y = 0;
  ++at.image;
}

// The taps of one kernel row that an output pixel reads inside the image: [begin, end), the first
// at input column `x`. Empty for a kernel row outside the image.
struct TapRun {
  std::int64_t begin, end, x;
};

TapRun tap_run(const ConvolutionSize& s, std::int64_t out_x) {
  const std::int64_t left = out_x * s.stride_x - s.pad_left;
  if (left >= 0 && left + (s.kernel_width - 1) * s.dilation_x < s.width)
    return {0, s.kernel_width, left};
  const auto up = [&](std::int64_t n) { return (n + s.dilation_x - 1) / s.dilation_x; };
  const std::int64_t begin = left >= 0 ? 0 : std::min(up(-left), s.kernel_width);
  const std::int64_t end =
      left >= s.width ? begin : std::clamp(up(s.width - left), begin, s.kernel_width);
  return {begin, end, left + begin * s.dilation_x};
}

// Short runs by moves of fixed size, which the compiler inlines; the last one overlaps.
void copy_short(const float* from, std::int64_t floats, float* to) {
  constexpr std::int64_t kMove = 4, kShort = 64;
  if (floats > kShort || floats < kMove) {
    if (floats > 0) std::memcpy(to, from, static_cast<std::size_t>(floats) * sizeof(float));
    return;
  }
  for (std::int64_t i = 0; i + kMove <= floats; i += kMove)
    std::memcpy(to + i, from + i, kMove * sizeof(float));
  std::memcpy(to + floats - kMove, from + floats - kMove, kMove * sizeof(float));
}

// Windows inside the image, of `pixels` neighbours in one row of the output.
struct InsideRun {
  const float* from;                        // of the first window
  std::int64_t pixels, pixel_step;          // floats from one window to the next
  std::int64_t kernel_rows, row_step, run;  // floats from one kernel row to the next, and of one
};

// Copies kernel rows in whole vectors: up to kFloats - run floats beyond each are read, and written
// where the next kernel row or output pixel comes to lie.
template <std::size_t kFloats>
void copy_windows(const InsideRun& in, float* to) {
  for (std::int64_t i = 0; i < in.pixels; ++i) {
    const float* from = in.from + i * in.pixel_step;
    for (std::int64_t ky = 0; ky < in.kernel_rows; ++ky, from += in.row_step, to += in.run)
      std::memcpy(to, from, kFloats * sizeof(float));
  }
}

// Gathers the output pixels from `at` on whose windows are inside the image, at most `count` and
// not beyond their row; how many that were.
std::int64_t gather_inside(const ConvolutionSize& s, const float* x, const Pixel& at,
                           std::int64_t count, float* rows) {
  const std::int64_t run = s.kernel_width * s.channels, vectors = (run + 7) / 8;
  const std::int64_t top = at.y * s.stride_y - s.pad_top, left = at.x * s.stride_x - s.pad_left;
  const std::int64_t bottom = top + (s.kernel_height - 1) * s.dilation_y;
  if (vectors > 4 || top < 0 || left < 0 || bottom >= s.height || left + s.kernel_width > s.width)
    return 0;
  const std::int64_t image_row = s.width * s.channels, step = s.stride_x * s.channels;
  const std::int64_t last = (at.image * s.height + bottom) * image_row + left * s.channels;
  const std::int64_t room = s.batch * s.height * image_row - last - vectors * 8;
  if (room < 0) return 0;
  const InsideRun in{
      .from = x + (at.image * s.height + top) * image_row + left * s.channels,
      .pixels = std::min({count, s.out_width - at.x,
                          (s.width - s.kernel_width - left) / s.stride_x + 1, room / step + 1}),
      .pixel_step = step,
      .kernel_rows = s.kernel_height,
      .row_step = s.dilation_y * image_row,
      .run = run};
  constexpr void (*kCopies[])(const InsideRun&, float*) = {copy_windows<8>, copy_windows<16>,
                                                           copy_windows<24>, copy_windows<32>};
  kCopies[vectors - 1](in, rows);
  return in.pixels;
}

// Gathers what output pixels [first, first + count) read: rows[count, taps * channels].
// Neighbouring taps are neighbours in the image unless dilated.
void gather(const ConvolutionSize& s, const float* x, std::int64_t first, std::int64_t count,
            float* rows) {
  Pixel at = s.out_pixel(first);
  const bool in_vectors = s.dilation_x == 1 && s.row() >= 8;
  for (std::int64_t i = 0; i < count; ++i, advance(s, at)) {
    // The last pixel has none behind it to write into.
    const std::int64_t inside = in_vectors ? gather_inside(s, x, at, count - 1 - i, rows) : 0;
    if (inside > 0) {
      rows += inside * s.row();
      at.x += inside - 1;
      i += inside - 1;
      continue;
    }
    const TapRun run = tap_run(s, at.x);
    for (std::int64_t ky = 0; ky < s.kernel_height; ++ky, rows += s.kernel_width * s.channels) {
      const std::int64_t iy = at.y * s.stride_y - s.pad_top + ky * s.dilation_y;
      if (iy < 0 || iy >= s.height) {
        std::fill_n(rows, s.kernel_width * s.channels, 0.0f);
        continue;
      }
      const float* from = x + ((at.image * s.height + iy) * s.width + run.x) * s.channels;
      std::fill_n(rows, run.begin * s.channels, 0.0f);
      if (s.dilation_x == 1) {
        copy_short(from, (run.end - run.begin) * s.channels, rows + run.begin * s.channels);
      } else {
        for (std::int64_t kx = run.begin; kx < run.end; ++kx, from += s.dilation_x * s.channels)
          copy_short(from, s.channels, rows + kx * s.channels);
      }
      std::fill_n(rows + run.end * s.channels, (s.kernel_width - run.end) * s.channels, 0.0f);
    }
  }
}

// to += from, as many whole vectors as fit from float `i` on; how far that was.
template <typename Tag>
HWY_INLINE std::int64_t add_vectors(Tag tag, const float* from, std::int64_t i, std::int64_t floats,
                                    float* to) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  for (; i + lanes <= floats; i += lanes)
    hn::StoreU(hn::Add(hn::LoadU(tag, to + i), hn::LoadU(tag, from + i)), tag, to + i);
  return i;
}

HWY_INLINE void add_run(const float* from, std::int64_t floats, float* to) {
  std::int64_t i = add_vectors(hn::ScalableTag<float>(), from, 0, floats, to);
  i = add_vectors(hn::CappedTag<float, 8>(), from, i, floats, to);
  i = add_vectors(hn::CappedTag<float, 4>(), from, i, floats, to);
  add_vectors(hn::CappedTag<float, 1>(), from, i, floats, to);
}

// Adds one row to the pixels that it came from.
void scatter_row(const ConvolutionSize& s, const float* row, const Pixel& at, float* dx) {
  const TapRun run = tap_run(s, at.x);
  for (std::int64_t ky = 0; ky < s.kernel_height; ++ky, row += s.kernel_width * s.channels) {
    const std::int64_t iy = at.y * s.stride_y - s.pad_top + ky * s.dilation_y;
    if (iy < 0 || iy >= s.height) continue;
    float* to = dx + ((at.image * s.height + iy) * s.width + run.x) * s.channels;
    if (s.dilation_x == 1) {
      add_run(row + run.begin * s.channels, (run.end - run.begin) * s.channels, to);
    } else {
      for (std::int64_t kx = run.begin; kx < run.end; ++kx, to += s.dilation_x * s.channels)
        add_run(row + kx * s.channels, s.channels, to);
    }
  }
}

void scatter(const ConvolutionSize& s, const float* rows, std::int64_t first, std::int64_t count,
             float* dx) {
  Pixel at = s.out_pixel(first);
  for (std::int64_t i = 0; i < count; ++i, advance(s, at))
    scatter_row(s, rows + i * s.row(), at, dx);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(gather);
HWY_EXPORT(scatter);

void gather_windows(const ConvolutionSize& s, const float* x, std::int64_t first,
                    std::int64_t count, float* rows) {
  HWY_DYNAMIC_DISPATCH(gather)(s, x, first, count, rows);
}

void scatter_windows(const ConvolutionSize& s, const float* rows, std::int64_t first,
                     std::int64_t count, float* dx) {
  HWY_DYNAMIC_DISPATCH(scatter)(s, rows, first, count, dx);
}

}  // namespace inkling::cpu
#endif
