// sum_to over axes that lie together: [outer, summed, inner] to [outer, inner]. Each output element
// adds its inputs in the order in which they lie; rows of one element are added in eight
// interleaved sums.

#include "runtime/backends/cpu/cpu.h"

namespace inkling::cpu {

namespace {

struct Reduction {
  std::int64_t outer = 1, summed = 1, inner = 1;
  bool fits = true;
};

Reduction reduction_of(const Shape& in, const Shape& out) {
  Reduction r;
  enum { kInner, kSummed, kOuter } part = kInner;
  for (std::size_t i = 0; i < in.rank(); ++i) {
    const std::int64_t from = in[in.rank() - 1 - i];
    const std::int64_t to = i < out.rank() ? out[out.rank() - 1 - i] : 1;
    if (from == 1) continue;
    if (from == to) {
      if (part == kSummed) part = kOuter;
      (part == kInner ? r.inner : r.outer) *= from;
    } else {
      if (part == kOuter) r.fits = false;
      if (part == kInner) part = kSummed;
      r.summed *= from;
    }
  }
  return r;
}

inline constexpr std::int64_t kColumns = 64;  // of one piece of work: a few cache lines

void sum_columns(const float* x, std::int64_t summed, std::int64_t inner, std::int64_t columns,
                 float* y) {
  float total[kColumns] = {};
  for (std::int64_t s = 0; s < summed; ++s, x += inner) {
    for (std::int64_t c = 0; c < columns; ++c) total[c] += x[c];
  }
  std::copy_n(total, columns, y);
}

// Short rows, as many at a time as fit: y = the sum of all.
void sum_short_rows(const float* x, std::int64_t summed, std::int64_t inner, float* y) {
  const std::int64_t group = kColumns / inner, wide = group * inner;
  float total[kColumns] = {};
  sum_columns(x, summed / group, wide, wide, total);
  x += summed / group * wide;
  for (std::int64_t c = 0; c < inner; ++c) {
    y[c] = total[c];
    for (std::int64_t g = 1; g < group; ++g) y[c] += total[g * inner + c];
    for (std::int64_t s = 0; s < summed % group; ++s) y[c] += x[s * inner + c];
  }
}

float sum_row(const float* x, std::int64_t n) {
  float lane[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (std::int64_t l = 0; l < 8; ++l) lane[l] += x[i + l];
  }
  for (std::int64_t l = 0; i < n; ++i, ++l) lane[l] += x[i];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

void run(const KernelArgs& args) {
  const Reduction s = reduction_of(args.in[0].shape(), args.out[0].shape());
  const float* x = args.in[0].as<float>();
  float* y = args.out[0].as<float>();
  const std::int64_t pieces = (s.inner + kColumns - 1) / kColumns;
  args.pool.parallel_for(
      static_cast<std::size_t>(s.outer * pieces),
      grain_for(static_cast<double>(s.summed * std::min(s.inner, kColumns)) / 4),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto i = static_cast<std::int64_t>(begin); i < static_cast<std::int64_t>(end); ++i) {
          const std::int64_t o = i / pieces, column = i % pieces * kColumns;
          const float* from = x + o * s.summed * s.inner + column;
          if (s.inner == 1) {
            y[o] = sum_row(from, s.summed);
          } else if (2 * s.inner <= kColumns) {
            sum_short_rows(from, s.summed, s.inner, y + o * s.inner);
          } else {
            sum_columns(from, s.summed, s.inner, std::min(kColumns, s.inner - column),
                        y + o * s.inner + column);
          }
        }
      });
}

bool accepts(const NodeSpec& node) {
  return all_f32(node) && reduction_of(node.in[0].shape, node.out[0].shape).fits;
}

double cost(const NodeSpec& node) {
  return simple_seconds(static_cast<double>(node.in[0].shape.elements()));
}

constexpr Kernel kRows[] = {
    {.op = OpKind::kSumTo, .name = "sum_to_columns", .accepts = accepts, .cost = cost, .run = run}};

}  // namespace

std::span<const Kernel> reduction_kernels() { return kRows; }

}  // namespace inkling::cpu
