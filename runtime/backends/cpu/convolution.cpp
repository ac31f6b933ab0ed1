// Dense convolution and its gradients by packed GEMM.
//
//   forward          a strip of output pixels is gathered into rows [pixels, kh kw in] (a 1x1
//   kernel reads the image
//                    itself) and multiplied by the weights [kh kw in, out]
//   input gradient   an image at a time: rows = dy W^T, scattered back; images are independent, so
//   no two threads add to
//                    the same place
//   weight gradient  a block of pixels at a time: dy is packed once and every tap multiplies its
//   own pixels of x with
//                    it; taps are independent
// All sums run in an order that depends on the shapes alone.

#include <cstring>

#include "runtime/backends/cpu/cpu.h"
#include "runtime/backends/cpu/gemm.h"

namespace inkling::cpu {

namespace {

inline constexpr std::int64_t kStripPixels = 48;  // output pixels gathered at a time
inline constexpr std::int64_t kBlockPixels =
    1024;  // output pixels of a block of the weight gradient

struct Size : ops::WindowSize {
  std::int64_t out;  // output channels
  std::int64_t taps() const { return kernel_height * kernel_width; }
  std::int64_t row() const { return taps() * channels; }  // floats that one output pixel reads
  bool pointwise() const {
    return taps() == 1 && stride_y == 1 && stride_x == 1 && out_height == height &&
           out_width == width;
  }
  double multiply_adds() const {
    return static_cast<double>(out_pixels()) * static_cast<double>(row() * out);
  }
};

Size size_of(const Shape& x, std::int64_t kernel_height, std::int64_t kernel_width,
             std::int64_t out, const Attrs& attrs) {
  return {*ops::window_size(x, kernel_height, kernel_width, attrs), out};
}

struct Pixel {
  std::int64_t image, y, x;
};
Pixel out_pixel(const Size& s, std::int64_t p) {
  return {p / (s.out_height * s.out_width), p / s.out_width % s.out_height, p % s.out_width};
}

void advance(const Size& s, Pixel& at) {  // to the next output pixel
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

TapRun tap_run(const Size& s, std::int64_t out_x) {
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
std::int64_t gather_inside(const Size& s, const float* x, const Pixel& at, std::int64_t count,
                           float* rows) {
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
void gather(const Size& s, const float* x, std::int64_t first, std::int64_t count, float* rows) {
  Pixel at = out_pixel(s, first);
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

// The inverse: adds rows to the pixels they came from.
void scatter(const Size& s, const float* rows, std::int64_t first, std::int64_t count, float* dx) {
  const auto add = [](const float* from, std::int64_t floats, float* to) {
    for (std::int64_t i = 0; i < floats; ++i) to[i] += from[i];
  };
  Pixel at = out_pixel(s, first);
  for (std::int64_t i = 0; i < count; ++i, advance(s, at)) {
    const TapRun run = tap_run(s, at.x);
    for (std::int64_t ky = 0; ky < s.kernel_height; ++ky, rows += s.kernel_width * s.channels) {
      const std::int64_t iy = at.y * s.stride_y - s.pad_top + ky * s.dilation_y;
      if (iy < 0 || iy >= s.height) continue;
      float* to = dx + ((at.image * s.height + iy) * s.width + run.x) * s.channels;
      if (s.dilation_x == 1) {
        add(rows + run.begin * s.channels, (run.end - run.begin) * s.channels, to);
      } else {
        for (std::int64_t kx = run.begin; kx < run.end; ++kx, to += s.dilation_x * s.channels)
          add(rows + kx * s.channels, s.channels, to);
      }
    }
  }
}

// Forward.

Size forward_size(std::span<const TensorSpec> in, const Attrs& attrs) {
  const Shape& w = in[1].shape;
  return size_of(in[0].shape, w[0], w[1], w[3], attrs);
}

std::size_t weight_bytes(const NodeSpec& node) {
  const Size s = forward_size(node.in, node.attrs);
  return static_cast<std::size_t>(gemm_packed_floats(s.row(), s.out)) * sizeof(float);
}

void pack_weights(const NodeSpec& node, const TensorView& weights, std::byte* packed) {
  const Size s = forward_size(node.in, node.attrs);
  gemm_pack(weights.as<float>(), s.out, 1, s.row(), s.out, reinterpret_cast<float*>(packed));
}

std::size_t forward_scratch(const NodeSpec& node) {
  const Size s = forward_size(node.in, node.attrs);
  const std::size_t strip =
      s.pointwise() ? 0 : aligned_floats(kStripPixels * s.row()) * sizeof(float) * node.threads;
  return strip + (node.constant_weights ? 0 : weight_bytes(node));
}

void forward(const KernelArgs& args) {
  const Shape& w = args.in[1].shape();
  const Size s = size_of(args.in[0].shape(), w[0], w[1], w[3], args.attrs);
  const float* x = args.in[0].as<float>();
  float* y = args.out[0].as<float>();
  float* scratch = reinterpret_cast<float*>(args.scratch);
  const float* packed = reinterpret_cast<const float*>(args.packed);
  if (!packed) {
    gemm_pack(args.in[1].as<float>(), s.out, 1, s.row(), s.out, scratch);
    packed = scratch;
    scratch += gemm_packed_floats(s.row(), s.out);
  }
  const auto epilogue = ops::Epilogue<float>::of(args);
  const Gemm whole{.m = 0,
                   .n = s.out,
                   .k = s.row(),
                   .a = nullptr,
                   .a_row = s.row(),
                   .a_k = 1,
                   .packed = packed,
                   .panel_stride = s.row() * gemm_panel_width(),
                   .c = nullptr,
                   .c_row = s.out,
                   .bias = epilogue.bias,
                   .clamp = args.attrs.has(Attr::kMin),
                   .low = epilogue.low,
                   .high = epilogue.high};
  const std::int64_t pixels = s.out_pixels();
  const auto strips = static_cast<std::size_t>((pixels + kStripPixels - 1) / kStripPixels);
  const std::size_t rows_floats = aligned_floats(kStripPixels * s.row());
  args.pool.parallel_for(strips,
                         grain_for(static_cast<double>(kStripPixels * s.row() * s.out) / 10),
                         [&](std::size_t begin, std::size_t end, unsigned worker) {
                           for (std::size_t i = begin; i < end; ++i) {
                             const std::int64_t first = static_cast<std::int64_t>(i) * kStripPixels;
                             Gemm g = whole;
                             g.m = std::min(kStripPixels, pixels - first);
                             g.c = y + first * s.out;
                             g.a = x + first * s.channels;
                             if (!s.pointwise()) {
                               float* rows = scratch + worker * rows_floats;
                               gather(s, x, first, g.m, rows);
                               g.a = rows;
                             }
                             gemm(g);
                           }
                         });
}

double forward_cost(const NodeSpec& node) {
  return gemm_seconds(forward_size(node.in, node.attrs).multiply_adds());
}

// Input gradient.

Size input_gradient_size(std::span<const TensorSpec> in, const Shape& x, const Attrs& attrs) {
  const Shape& w = in[1].shape;
  return size_of(x, w[0], w[1], w[3], attrs);
}

std::size_t input_gradient_scratch(const NodeSpec& node) {
  const Size s = input_gradient_size(node.in, node.out[0].shape, node.attrs);
  return (static_cast<std::size_t>(gemm_packed_floats(s.out, s.row())) +
          aligned_floats(kStripPixels * s.row()) * node.threads) *
         sizeof(float);
}

void input_gradient(const KernelArgs& args) {
  const Shape& w = args.in[1].shape();
  const Size s = size_of(args.out[0].shape(), w[0], w[1], w[3], args.attrs);
  const float* dy = args.in[0].as<float>();
  float* dx = args.out[0].as<float>();
  float* packed = reinterpret_cast<float*>(args.scratch);
  gemm_pack(args.in[1].as<float>(), 1, s.out, s.out, s.row(), packed);  // W^T [out, row]
  float* scratch = packed + gemm_packed_floats(s.out, s.row());
  const std::size_t rows_floats = aligned_floats(kStripPixels * s.row());
  const std::int64_t image_pixels = s.out_height * s.out_width,
                     image_floats = s.height * s.width * s.channels;
  args.pool.parallel_for(static_cast<std::size_t>(s.batch), 1,
                         [&](std::size_t begin, std::size_t end, unsigned worker) {
                           float* rows = scratch + worker * rows_floats;
                           for (auto image = static_cast<std::int64_t>(begin);
                                image < static_cast<std::int64_t>(end); ++image) {
                             if (!s.pointwise())
                               std::fill_n(dx + image * image_floats, image_floats, 0.0f);
                             for (std::int64_t first = image * image_pixels;
                                  first < (image + 1) * image_pixels; first += kStripPixels) {
                               const std::int64_t count =
                                   std::min(kStripPixels, (image + 1) * image_pixels - first);
                               gemm({.m = count,
                                     .n = s.row(),
                                     .k = s.out,
                                     .a = dy + first * s.out,
                                     .a_row = s.out,
                                     .a_k = 1,
                                     .packed = packed,
                                     .panel_stride = s.out * gemm_panel_width(),
                                     .c = s.pointwise() ? dx + first * s.channels : rows,
                                     .c_row = s.row()});
                               if (!s.pointwise()) scatter(s, rows, first, count, dx);
                             }
                           }
                         });
}

double input_gradient_cost(const NodeSpec& node) {
  return gemm_seconds(input_gradient_size(node.in, node.out[0].shape, node.attrs).multiply_adds());
}

// Weight gradient.

Size weight_gradient_size(const Shape& x, const Shape& dy, const Attrs& attrs) {
  const auto& kernel = attrs.integers(Attr::kKernel);
  return size_of(x, kernel[0], kernel[1], dy[3], attrs);
}

std::size_t weight_gradient_scratch(const NodeSpec& node) {
  const Size s = weight_gradient_size(node.in[0].shape, node.in[1].shape, node.attrs);
  return static_cast<std::size_t>(gemm_packed_floats(kBlockPixels, s.out)) * sizeof(float);
}

// dw[tap] += x^T dy over the output pixels [first, first + count), for input channels [c, c +
// channels).
void tap_gradient(const Size& s, const float* x, const float* packed_dy, std::int64_t first,
                  std::int64_t count, std::int64_t tap, std::int64_t c, std::int64_t channels,
                  float* dw) {
  const std::int64_t dy_offset = tap / s.kernel_width * s.dilation_y - s.pad_top;
  const std::int64_t dx_offset = tap % s.kernel_width * s.dilation_x - s.pad_left;
  Gemm g{.m = channels,
         .n = s.out,
         .k = 0,
         .a = nullptr,
         .a_row = 1,
         .a_k = s.stride_x * s.channels,
         .packed = nullptr,
         .panel_stride = kBlockPixels * gemm_panel_width(),
         .c = dw + (tap * s.channels + c) * s.out,
         .c_row = s.out,
         .accumulate = true};
  if (s.pointwise()) {
    g.k = count;
    g.a = x + first * s.channels + c;
    g.packed = packed_dy;
    gemm(g);
    return;
  }
  // A run is the part of an output row whose pixels read inside the image.
  for (std::int64_t p = first; p < first + count;) {
    const Pixel at = out_pixel(s, p);
    const std::int64_t row_end = std::min(p + s.out_width - at.x, first + count);
    const std::int64_t iy = at.y * s.stride_y + dy_offset;
    const std::int64_t low = dx_offset >= 0 ? 0 : (-dx_offset + s.stride_x - 1) / s.stride_x;
    const std::int64_t high = dx_offset >= s.width ? 0 : (s.width - 1 - dx_offset) / s.stride_x + 1;
    const std::int64_t begin = std::max(low, at.x), end = std::min(high, at.x + row_end - p);
    if (iy >= 0 && iy < s.height && begin < end) {
      g.k = end - begin;
      g.a = x +
            ((at.image * s.height + iy) * s.width + begin * s.stride_x + dx_offset) * s.channels +
            c;
      g.packed = packed_dy + (p - first + begin - at.x) * gemm_panel_width();
      gemm(g);
    }
    p = row_end;
  }
}

void weight_gradient(const KernelArgs& args) {
  const Size s = weight_gradient_size(args.in[0].shape(), args.in[1].shape(), args.attrs);
  const float* x = args.in[0].as<float>();
  const float* dy = args.in[1].as<float>();
  float* dw = args.out[0].as<float>();
  float* packed = reinterpret_cast<float*>(args.scratch);
  std::fill_n(dw, args.out[0].elements(), 0.0f);
  constexpr std::int64_t kChannels = 48;  // input channels of one piece of work
  const std::int64_t pieces = (s.channels + kChannels - 1) / kChannels;
  const std::int64_t width = gemm_panel_width();
  for (std::int64_t first = 0; first < s.out_pixels(); first += kBlockPixels) {
    const std::int64_t count = std::min(kBlockPixels, s.out_pixels() - first);
    const auto panels = static_cast<std::size_t>((s.out + width - 1) / width);
    for (std::size_t p = 0; p < panels; ++p) {
      const std::int64_t column = static_cast<std::int64_t>(p) * width;
      gemm_pack(dy + first * s.out + column, s.out, 1, count, std::min(width, s.out - column),
                packed + static_cast<std::int64_t>(p) * kBlockPixels * width);
    }
    args.pool.parallel_for(static_cast<std::size_t>(s.taps() * pieces), 1,
                           [&](std::size_t begin, std::size_t end, unsigned) {
                             for (auto i = static_cast<std::int64_t>(begin);
                                  i < static_cast<std::int64_t>(end); ++i) {
                               const std::int64_t c = i % pieces * kChannels;
                               tap_gradient(s, x, packed, first, count, i / pieces, c,
                                            std::min(kChannels, s.channels - c), dw);
                             }
                           });
  }
}

// A tap's product has as many rows as there are input channels: few of them leave a tile's
// registers empty.
double weight_gradient_cost(const NodeSpec& node) {
  const Size s = weight_gradient_size(node.in[0].shape, node.in[1].shape, node.attrs);
  constexpr double kFullTile = 12;
  return gemm_seconds(s.multiply_adds()) *
         std::max(1.0, kFullTile / static_cast<double>(s.channels));
}

// Weight gradient with few input channels: dw = rows^T dy, with the rows gathered as for the
// forward pass. The pixels are cut into parts, each with a sum of its own, that are added in order.

constexpr std::int64_t kParts = 8, kPartStrip = 192;  // output pixels gathered at a time
constexpr std::int64_t kPartFloatsMax = 1 << 16;      // of dw

bool few_channels_accepts(const NodeSpec& node) {
  if (!all_f32(node)) return false;
  const Size s = weight_gradient_size(node.in[0].shape, node.in[1].shape, node.attrs);
  return !s.pointwise() && s.row() * s.out <= kPartFloatsMax;
}

std::size_t few_channels_scratch(const NodeSpec& node) {
  const Size s = weight_gradient_size(node.in[0].shape, node.in[1].shape, node.attrs);
  return (aligned_floats(s.row() * s.out) * kParts +
          aligned_floats(kPartStrip * s.row()) * node.threads) *
         sizeof(float);
}

void few_channels_weight_gradient(const KernelArgs& args) {
  const Size s = weight_gradient_size(args.in[0].shape(), args.in[1].shape(), args.attrs);
  const float* x = args.in[0].as<float>();
  const float* dy = args.in[1].as<float>();
  float* sums = reinterpret_cast<float*>(args.scratch);
  const std::size_t sum_floats = aligned_floats(s.row() * s.out),
                    rows_floats = aligned_floats(kPartStrip * s.row());
  float* scratch = sums + sum_floats * kParts;
  const std::int64_t pixels = s.out_pixels();
  args.pool.parallel_for(kParts, 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
    float* rows = scratch + worker * rows_floats;
    for (std::size_t part = begin; part < end; ++part) {
      float* sum = sums + part * sum_floats;
      std::fill_n(sum, s.row() * s.out, 0.0f);
      const auto border = [&](std::size_t i) {
        return pixels * static_cast<std::int64_t>(i) / kParts;
      };
      for (std::int64_t first = border(part); first < border(part + 1); first += kPartStrip) {
        const std::int64_t count = std::min(kPartStrip, border(part + 1) - first);
        gather(s, x, first, count, rows);
        gemm({.m = s.row(),
              .n = s.out,
              .k = count,
              .a = rows,
              .a_row = 1,
              .a_k = s.row(),
              .packed = dy + first * s.out,
              .panel_stride = gemm_panel_width(),
              .b_row = s.out,
              .c = sum,
              .c_row = s.out,
              .accumulate = true});
      }
    }
  });
  float* dw = args.out[0].as<float>();
  std::copy_n(sums, s.row() * s.out, dw);
  for (std::size_t part = 1; part < kParts; ++part) {
    const float* sum = sums + part * sum_floats;
    for (std::int64_t i = 0; i < s.row() * s.out; ++i) dw[i] += sum[i];
  }
}

// Gathering a float costs about as much as multiplying it twice.
double few_channels_cost(const NodeSpec& node) {
  const Size s = weight_gradient_size(node.in[0].shape, node.in[1].shape, node.attrs);
  return gemm_seconds(s.multiply_adds()) * (1 + 2.0 / static_cast<double>(s.out));
}

constexpr Kernel kRows[] = {
    {.op = OpKind::kConv2d,
     .name = "conv2d_gemm",
     .accepts = all_f32,
     .cost = forward_cost,
     .run = forward,
     .scratch_bytes = forward_scratch,
     .packed_bytes = weight_bytes,
     .pack = pack_weights},
    {.op = OpKind::kConv2dInputGradient,
     .name = "conv2d_input_gradient_gemm",
     .accepts = all_f32,
     .cost = input_gradient_cost,
     .run = input_gradient,
     .scratch_bytes = input_gradient_scratch},
    {.op = OpKind::kConv2dWeightGradient,
     .name = "conv2d_weight_gradient_gemm",
     .accepts = all_f32,
     .cost = weight_gradient_cost,
     .run = weight_gradient,
     .scratch_bytes = weight_gradient_scratch},
    {.op = OpKind::kConv2dWeightGradient,
     .name = "conv2d_weight_gradient_few_channels",
     .accepts = few_channels_accepts,
     .cost = few_channels_cost,
     .run = few_channels_weight_gradient,
     .scratch_bytes = few_channels_scratch},
};

}  // namespace

std::span<const Kernel> convolution_kernels() { return kRows; }

}  // namespace inkling::cpu
