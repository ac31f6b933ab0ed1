// matmul by GEMM. B is packed once when it is constant, else at each run, unless A has so few rows
// that packing would cost more than it saves; every transposition is a matter of strides.

#include "runtime/backends/cpu/cpu.h"
#include "runtime/backends/cpu/gemm.h"

namespace inkling::cpu {

namespace {

constexpr std::int64_t kUnpackedRowsMax = 24;

bool reads_unpacked(const ops::MatmulSize& s) { return !s.transpose_b && s.m <= kUnpackedRowsMax; }

ops::MatmulSize size_of(const NodeSpec& node) {
  return ops::matmul_size(node.in[0].shape, node.in[1].shape, node.attrs);
}

void pack_matrix(const ops::MatmulSize& s, const float* b, float* packed) {
  gemm_pack(b, s.transpose_b ? 1 : s.n, s.transpose_b ? s.k : 1, s.k, s.n, packed);
}

std::int64_t packed_floats(const ops::MatmulSize& s) { return gemm_packed_floats(s.k, s.n); }

std::size_t packed_bytes(const NodeSpec& node) {
  const auto s = size_of(node);
  return static_cast<std::size_t>(s.batch * packed_floats(s)) * sizeof(float);
}

void pack(const NodeSpec& node, const TensorView& weights, std::byte* packed) {
  const auto s = size_of(node);
  for (std::int64_t i = 0; i < s.batch; ++i) {
    pack_matrix(s, weights.as<float>() + i * s.k * s.n,
                reinterpret_cast<float*>(packed) + i * packed_floats(s));
  }
}

std::size_t scratch_bytes(const NodeSpec& node) {
  const auto s = size_of(node);
  return node.constant_weights || reads_unpacked(s)
             ? 0
             : static_cast<std::size_t>(packed_floats(s)) * sizeof(float);
}

void run(const KernelArgs& args) {
  const auto s = ops::matmul_size(args.in[0].shape(), args.in[1].shape(), args.attrs);
  const auto epilogue = ops::Epilogue<float>::of(args);
  const std::int64_t width = gemm_panel_width();
  const GemmPieces pieces = gemm_pieces(s.m, s.n, s.k, args.pool.threads());
  for (std::int64_t batch = 0; batch < s.batch; ++batch) {
    const float* b = args.in[1].as<float>() + batch * s.k * s.n;
    const float* packed = reinterpret_cast<const float*>(args.packed) + batch * packed_floats(s);
    const bool unpacked = !args.packed && reads_unpacked(s);
    if (unpacked) {
      packed = b;
    } else if (!args.packed) {
      pack_matrix(s, b, reinterpret_cast<float*>(args.scratch));
      packed = reinterpret_cast<const float*>(args.scratch);
    }
    const Gemm whole{.m = s.m,
                     .n = s.n,
                     .k = s.k,
                     .a = args.in[0].as<float>() + batch * s.m * s.k,
                     .a_row = s.transpose_a ? 1 : s.k,
                     .a_k = s.transpose_a ? s.m : 1,
                     .packed = packed,
                     .panel_stride = unpacked ? width : s.k * width,
                     .b_row = unpacked ? s.n : 0,
                     .c = args.out[0].as<float>() + batch * s.m * s.n,
                     .c_row = s.n,
                     .bias = epilogue.bias,
                     .addend = epilogue.addend ? epilogue.addend + batch * s.m * s.n : nullptr,
                     .clamp = epilogue.low > -kInfinity || epilogue.high < kInfinity,
                     .low = epilogue.low,
                     .high = epilogue.high};
    const double work = static_cast<double>(s.m) * static_cast<double>(s.n) *
                        static_cast<double>(s.k) / static_cast<double>(pieces.count()) / 10;
    args.pool.parallel_for(static_cast<std::size_t>(pieces.count()), grain_for(work),
                           [&](std::size_t begin, std::size_t end, unsigned) {
                             for (auto i = static_cast<std::int64_t>(begin);
                                  i < static_cast<std::int64_t>(end); ++i)
                               gemm(gemm_piece(whole, pieces, i));
                           });
  }
}

double cost(const NodeSpec& node) {
  const auto s = size_of(node);
  return gemm_seconds(static_cast<double>(s.batch * s.m) * static_cast<double>(s.n * s.k));
}

constexpr Kernel kRows[] = {{.op = OpKind::kMatmul,
                             .name = "matmul_gemm",
                             .accepts = all_f32,
                             .cost = cost,
                             .run = run,
                             .scratch_bytes = scratch_bytes,
                             .packed_bytes = packed_bytes,
                             .pack = pack}};

}  // namespace

std::span<const Kernel> matmul_kernels() { return kRows; }

}  // namespace inkling::cpu
