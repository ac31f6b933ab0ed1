// expanded_depthwise_conv2d, row by row: the rows of the expanded image that a row of the result
// reads lie in a ring in the L2 cache, and each is computed just before it is first read. Threads
// take whole bands of rows; the few expanded rows above a band are computed for both of its sides.

#include "runtime/backends/cpu/cpu.h"
#include "runtime/backends/cpu/depthwise.h"
#include "runtime/backends/cpu/gemm.h"

namespace inkling::cpu {

namespace {

struct Size {
  ops::WindowSize depthwise;  // of the expanded image
  std::int64_t in;            // channels before the expansion

  // Rows of the expanded image from the first to the last that a row of the result reads.
  std::int64_t ring_rows() const {
    return (depthwise.kernel_height - 1) * depthwise.dilation_y + 1;
  }
  std::int64_t row_floats() const { return depthwise.width * depthwise.channels; }
  std::size_t ring_floats() const { return aligned_floats(ring_rows() * row_floats()); }
};

Size size_of(const Shape& x, const Shape& weights, const Attrs& attrs) {
  Size size{*ops::window_size(x, weights[0], weights[1], attrs), x[3]};
  size.depthwise.channels = weights[2];
  return size;
}

Size size_of(const NodeSpec& node) {
  return size_of(node.in[0].shape, node.in[3].shape, node.attrs);
}

// Rows of the result from `begin` to `end`, of one image.
struct Band {
  const float* x;
  float* y;
  std::int64_t begin, end;
};

void run_band(const Size& s, const Band& band, const Gemm& expand, const float* weights,
              const ops::Epilogue<float>& epilogue, float* ring) {
  const ops::WindowSize& d = s.depthwise;
  std::int64_t next = std::max<std::int64_t>(0, band.begin * d.stride_y - d.pad_top);
  for (std::int64_t oy = band.begin; oy < band.end; ++oy) {
    const std::int64_t top = oy * d.stride_y - d.pad_top;
    next = std::max(next, top);
    for (; next < std::min(top + s.ring_rows(), d.height); ++next) {
      Gemm row = expand;
      row.a = band.x + next * d.width * s.in;
      row.c = ring + next % s.ring_rows() * s.row_floats();
      gemm(row);
    }
    depthwise_row(d, {ring, s.ring_rows()}, oy, weights, epilogue,
                  band.y + oy * d.out_width * d.channels);
  }
}

// Of an image: as many as there are threads, and twice that where they are still tall.
std::int64_t bands_of(const ops::WindowSize& s, unsigned threads) {
  constexpr std::int64_t kTall = 24;
  if (threads == 1 || s.batch >= 2 * threads) return 1;
  return s.out_height >= 2 * threads * kTall ? 2 * threads : threads;
}

void run(const KernelArgs& args) {
  const Size s = size_of(args.in[0].shape(), args.in[3].shape(), args.attrs);
  const ops::WindowSize& d = s.depthwise;
  const Gemm expand{.m = d.width,
                    .n = d.channels,
                    .k = s.in,
                    .a = nullptr,
                    .a_row = s.in,
                    .a_k = 1,
                    .packed = reinterpret_cast<const float*>(args.packed),
                    .panel_stride = s.in * gemm_panel_width(),
                    .c = nullptr,
                    .c_row = d.channels,
                    .bias = args.in[2].as<float>(),
                    .clamp = true,
                    .low = static_cast<float>(args.attrs.real(Attr::kExpandMin, -kInfinity)),
                    .high = static_cast<float>(args.attrs.real(Attr::kExpandMax, kInfinity))};
  const ops::Epilogue<float> epilogue{
      .bias = args.in[4].as<float>(),
      .low = static_cast<float>(args.attrs.real(Attr::kMin, -kInfinity)),
      .high = static_cast<float>(args.attrs.real(Attr::kMax, kInfinity))};
  const std::int64_t bands = bands_of(d, args.pool.threads());
  args.pool.parallel_for(
      static_cast<std::size_t>(d.batch * bands), 1,
      [&](std::size_t begin, std::size_t end, unsigned worker) {
        float* ring = reinterpret_cast<float*>(args.scratch) + worker * s.ring_floats();
        for (auto i = static_cast<std::int64_t>(begin); i < static_cast<std::int64_t>(end); ++i) {
          const std::int64_t image = i / bands, band = i % bands;
          run_band(s,
                   {.x = args.in[0].as<float>() + image * d.height * d.width * s.in,
                    .y = args.out[0].as<float>() + image * d.out_height * d.out_width * d.channels,
                    .begin = d.out_height * band / bands,
                    .end = d.out_height * (band + 1) / bands},
                   expand, args.in[3].as<float>(), epilogue, ring);
        }
      });
}

bool accepts(const NodeSpec& node) {
  return all_f32(node) && node.constant_weights &&
         node.in[3].shape[0] * node.in[3].shape[1] <= kDepthwiseTapsMax;
}

double cost(const NodeSpec& node) {
  const Size s = size_of(node);
  const ops::WindowSize& d = s.depthwise;
  const auto expanded = static_cast<double>(d.batch * d.height * s.row_floats());
  const auto result = static_cast<double>(d.out_pixels() * d.channels);
  return gemm_seconds(expanded * static_cast<double>(s.in)) +
         simple_seconds(result * static_cast<double>(d.kernel_height * d.kernel_width) / 4);
}

std::size_t scratch_bytes(const NodeSpec& node) {
  return size_of(node).ring_floats() * sizeof(float) * node.threads;
}

std::size_t packed_bytes(const NodeSpec& node) {
  const Size s = size_of(node);
  return static_cast<std::size_t>(gemm_packed_floats(s.in, s.depthwise.channels)) * sizeof(float);
}

void pack(const NodeSpec& node, const TensorView& weights, std::byte* packed) {
  const Size s = size_of(node);
  const std::int64_t out = s.depthwise.channels;
  gemm_pack(weights.as<float>(), out, 1, s.in, out, reinterpret_cast<float*>(packed));
}

constexpr Kernel kRows[] = {{.op = OpKind::kExpandedDepthwiseConv2d,
                             .name = "expanded_depthwise_conv2d_rows",
                             .accepts = accepts,
                             .cost = cost,
                             .run = run,
                             .scratch_bytes = scratch_bytes,
                             .packed_bytes = packed_bytes,
                             .pack = pack}};

}  // namespace

std::span<const Kernel> expanded_depthwise_kernels() { return kRows; }

}  // namespace inkling::cpu
