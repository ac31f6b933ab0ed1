// Dense convolution and its gradients by packed GEMM.
//
// Forward: a strip of output pixels is gathered into rows [pixels, kh kw in] (a 1x1 kernel reads
// the image itself) and multiplied by the weights [kh kw in, out]. Input gradient, an image at a
// time: rows = dy W^T, scattered back. Images are independent, so no two threads add to the same
// place. Weight gradient, a block of pixels at a time: dy is packed once and every tap multiplies
// its own pixels of x with it. Taps are independent.
//
// All sums run in an order that depends on the shapes alone.

#include "runtime/backends/cpu/cpu.h"
#include "runtime/backends/cpu/gemm.h"
#include "runtime/backends/cpu/windows.h"

namespace inkling::cpu {

namespace {

constexpr std::int64_t kStripPixels = 48;    // output pixels gathered at a time
constexpr std::int64_t kBlockPixels = 1024;  // of a block of the weight gradient

using Size = ConvolutionSize;

Size size_of(const Shape& x, std::int64_t kernel_height, std::int64_t kernel_width,
             std::int64_t out, const Attrs& attrs) {
  return {*ops::window_size(x, kernel_height, kernel_width, attrs), out};
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

GemmPieces forward_pieces(const Size& s, unsigned threads) {
  return gemm_pieces(s.out_pixels(), s.out, s.row(), threads);
}

// Of one thread's gathered rows.
std::size_t strip_floats(const Size& s, const GemmPieces& pieces) {
  return s.pointwise() ? 0 : aligned_floats(pieces.strip * s.row());
}

std::size_t forward_scratch(const NodeSpec& node) {
  const Size s = forward_size(node.in, node.attrs);
  const std::size_t strips = strip_floats(s, forward_pieces(s, node.threads)) * node.threads;
  return strips * sizeof(float) + (node.constant_weights ? 0 : weight_bytes(node));
}

void forward(const KernelArgs& args) {
  const Shape& w = args.in[1].shape();
  const Size s = size_of(args.in[0].shape(), w[0], w[1], w[3], args.attrs);
  const float* x = args.in[0].as<float>();
  float* scratch = reinterpret_cast<float*>(args.scratch);
  const float* packed = reinterpret_cast<const float*>(args.packed);
  if (!packed) {
    gemm_pack(args.in[1].as<float>(), s.out, 1, s.row(), s.out, scratch);
    packed = scratch;
    scratch += gemm_packed_floats(s.row(), s.out);
  }
  const auto epilogue = ops::Epilogue<float>::of(args);
  const Gemm whole{.m = s.out_pixels(),
                   .n = s.out,
                   .k = s.row(),
                   .a = s.pointwise() ? x : nullptr,
                   .a_row = s.row(),
                   .a_k = 1,
                   .packed = packed,
                   .panel_stride = s.row() * gemm_panel_width(),
                   .c = args.out[0].as<float>(),
                   .c_row = args.out_pitch > 0 ? args.out_pitch : s.out,
                   .bias = epilogue.bias,
                   .addend = epilogue.addend,
                   .clamp = epilogue.low > -kInfinity || epilogue.high < kInfinity,
                   .low = epilogue.low,
                   .high = epilogue.high};
  const GemmPieces pieces = forward_pieces(s, args.pool.threads());
  const double work = s.multiply_adds() / static_cast<double>(pieces.count()) / 10;
  args.pool.parallel_for(static_cast<std::size_t>(pieces.count()), grain_for(work),
                         [&](std::size_t begin, std::size_t end, unsigned worker) {
                           float* rows = scratch + worker * strip_floats(s, pieces);
                           for (auto i = static_cast<std::int64_t>(begin);
                                i < static_cast<std::int64_t>(end); ++i) {
                             Gemm g = gemm_piece(whole, pieces, i);
                             if (!s.pointwise()) {
                               // A strip's groups of panels follow each other: it is gathered for
                               // the first.
                               if (i % pieces.groups == 0 || i == static_cast<std::int64_t>(begin))
                                 gather_windows(s, x, i / pieces.groups * pieces.strip, g.m, rows);
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
                               if (!s.pointwise()) scatter_windows(s, rows, first, count, dx);
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
    const Pixel at = s.out_pixel(p);
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
// registers empty. Packing costs a tenth.
double weight_gradient_cost(const NodeSpec& node) {
  const Size s = weight_gradient_size(node.in[0].shape, node.in[1].shape, node.attrs);
  constexpr double kFullTile = 12;
  return gemm_seconds(s.multiply_adds()) * 1.1 *
         std::max(1.0, kFullTile / static_cast<double>(s.channels));
}

// Weight gradient of few weights: dw = rows^T dy, with the rows gathered as for the forward pass (a
// 1x1 kernel reads the image itself). The pixels are cut into parts, each with a sum of its own,
// that are added in order.

constexpr std::int64_t kParts = 8, kPartStrip = 64;  // output pixels gathered at a time
constexpr std::int64_t kPartStripPointwise = 256;
constexpr std::int64_t kPartFloatsMax = 1 << 16;  // of dw

// Of one thread's gathered rows.
std::size_t part_rows_floats(const Size& s) {
  return s.pointwise() ? 0 : aligned_floats(kPartStrip * s.row());
}

bool parts_accepts(const NodeSpec& node) {
  if (!all_f32(node)) return false;
  const Size s = weight_gradient_size(node.in[0].shape, node.in[1].shape, node.attrs);
  return s.row() * s.out <= kPartFloatsMax;
}

std::size_t parts_scratch(const NodeSpec& node) {
  const Size s = weight_gradient_size(node.in[0].shape, node.in[1].shape, node.attrs);
  return (aligned_floats(s.row() * s.out) * kParts + part_rows_floats(s) * node.threads) *
         sizeof(float);
}

void parts_weight_gradient(const KernelArgs& args) {
  const Size s = weight_gradient_size(args.in[0].shape(), args.in[1].shape(), args.attrs);
  const float* x = args.in[0].as<float>();
  const float* dy = args.in[1].as<float>();
  float* sums = reinterpret_cast<float*>(args.scratch);
  const std::size_t sum_floats = aligned_floats(s.row() * s.out), rows_floats = part_rows_floats(s);
  float* scratch = sums + sum_floats * kParts;
  const std::int64_t pixels = s.out_pixels();
  const std::int64_t strip = s.pointwise() ? kPartStripPointwise : kPartStrip;
  args.pool.parallel_for(kParts, 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
    float* rows = scratch + worker * rows_floats;
    for (std::size_t part = begin; part < end; ++part) {
      float* sum = sums + part * sum_floats;
      std::fill_n(sum, s.row() * s.out, 0.0f);
      const auto border = [&](std::size_t i) {
        return pixels * static_cast<std::int64_t>(i) / kParts;
      };
      for (std::int64_t first = border(part); first < border(part + 1); first += strip) {
        const std::int64_t count = std::min(strip, border(part + 1) - first);
        if (!s.pointwise()) gather_windows(s, x, first, count, rows);
        gemm({.m = s.row(),
              .n = s.out,
              .k = count,
              .a = s.pointwise() ? x + first * s.channels : rows,
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
  add_up({sums, kParts, sum_floats}, s.row() * s.out, args.out[0].as<float>());
}

// Gathering a float costs about as much as multiplying it twice.
double parts_cost(const NodeSpec& node) {
  const Size s = weight_gradient_size(node.in[0].shape, node.in[1].shape, node.attrs);
  return gemm_seconds(s.multiply_adds()) *
         (s.pointwise() ? 1 : 1 + 2.0 / static_cast<double>(s.out));
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
     .name = "conv2d_weight_gradient_parts",
     .accepts = parts_accepts,
     .cost = parts_cost,
     .run = parts_weight_gradient,
     .scratch_bytes = parts_scratch},
};

}  // namespace

std::span<const Kernel> convolution_kernels() { return kRows; }

}  // namespace inkling::cpu
