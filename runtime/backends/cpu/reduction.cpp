// sum_to over axes that lie together: [outer, summed, inner] to [outer, inner]. Columns add their
// numbers in the order in which they lie; rows of one number, and short ones, in interleaved sums.
// Long sums are cut into parts, that are added in order.

#include "runtime/backends/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/reduction.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// As many whole groups of kVectors as fit from column c on; how far that was.
template <int kVectors, typename Tag>
HWY_INLINE std::int64_t add_columns(Tag tag, const float* x, std::int64_t summed,
                                    std::int64_t inner, std::int64_t c, std::int64_t columns,
                                    float* y) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  for (; c + kVectors * lanes <= columns; c += kVectors * lanes) {
    hn::Vec<Tag> total[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) total[v] = hn::Zero(tag);
    const float* from = x + c;
    for (std::int64_t s = 0; s < summed; ++s, from += inner) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        total[v] = hn::Add(total[v], hn::LoadU(tag, from + v * lanes));
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) hn::StoreU(total[v], tag, y + c + v * lanes);
  }
  return c;
}

// y[columns] = the sum of `summed` rows, `inner` floats apart.
void sum_columns(const float* x, std::int64_t summed, std::int64_t inner, std::int64_t columns,
                 float* y) {
  std::int64_t c = add_columns<4>(hn::ScalableTag<float>(), x, summed, inner, 0, columns, y);
  c = add_columns<1>(hn::ScalableTag<float>(), x, summed, inner, c, columns, y);
  c = add_columns<1>(hn::CappedTag<float, 4>(), x, summed, inner, c, columns, y);
  add_columns<1>(hn::CappedTag<float, 1>(), x, summed, inner, c, columns, y);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(sum_columns);

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

constexpr std::int64_t kColumns = 64;  // of one piece of work: a few cache lines
constexpr std::int64_t kParts = 8, kPartSummedMin = 512;

std::int64_t parts_of(const Reduction& s) {
  return s.summed >= kParts * kPartSummedMin ? kParts : 1;
}

using SumColumns = void (*)(const float*, std::int64_t, std::int64_t, std::int64_t, float*);

// Short rows, as many at a time as fit: y = the sum of all.
void sum_short_rows(SumColumns columns, const float* x, std::int64_t summed, std::int64_t inner,
                    float* y) {
  const std::int64_t group = kColumns / inner, wide = group * inner;
  float total[kColumns] = {};
  columns(x, summed / group, wide, wide, total);
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

// y[inner] = the sum of rows, but only of the piece of columns at `column`.
void sum_piece(SumColumns columns, const float* x, std::int64_t summed, std::int64_t inner,
               std::int64_t column, float* y) {
  if (inner == 1) {
    *y = sum_row(x, summed);
  } else if (2 * inner <= kColumns) {
    sum_short_rows(columns, x, summed, inner, y);
  } else {
    columns(x + column, summed, inner, std::min(kColumns, inner - column), y + column);
  }
}

void run(const KernelArgs& args) {
  const Reduction s = reduction_of(args.in[0].shape(), args.out[0].shape());
  const float* x = args.in[0].as<float>();
  float* y = args.out[0].as<float>();
  const std::int64_t parts = parts_of(s), sum_floats = s.outer * s.inner;
  float* sums = parts == 1 ? y : reinterpret_cast<float*>(args.scratch);
  const std::int64_t pieces = (s.inner + kColumns - 1) / kColumns;
  const auto columns = HWY_DYNAMIC_DISPATCH(sum_columns);
  args.pool.parallel_for(
      static_cast<std::size_t>(parts * s.outer * pieces),
      grain_for(static_cast<double>(s.summed / parts * std::min(s.inner, kColumns)) / 4),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto i = static_cast<std::int64_t>(begin); i < static_cast<std::int64_t>(end); ++i) {
          const std::int64_t part = i / (s.outer * pieces), o = i / pieces % s.outer;
          const std::int64_t first = s.summed * part / parts;
          const std::int64_t summed = s.summed * (part + 1) / parts - first;
          sum_piece(columns, x + (o * s.summed + first) * s.inner, summed, s.inner,
                    i % pieces * kColumns, sums + part * sum_floats + o * s.inner);
        }
      });
  if (parts == 1) return;
  add_up({sums, parts, static_cast<std::size_t>(sum_floats)}, sum_floats, y);
}

std::size_t scratch_bytes(const NodeSpec& node) {
  const Reduction s = reduction_of(node.in[0].shape, node.out[0].shape);
  if (parts_of(s) == 1) return 0;
  return static_cast<std::size_t>(kParts * s.outer * s.inner) * sizeof(float);
}

bool accepts(const NodeSpec& node) {
  return all_f32(node) && reduction_of(node.in[0].shape, node.out[0].shape).fits;
}

double cost(const NodeSpec& node) {
  return simple_seconds(static_cast<double>(node.in[0].shape.elements()));
}

constexpr Kernel kRows[] = {{.op = OpKind::kSumTo,
                             .name = "sum_to_columns",
                             .accepts = accepts,
                             .cost = cost,
                             .run = run,
                             .scratch_bytes = scratch_bytes}};

}  // namespace

std::span<const Kernel> reduction_kernels() { return kRows; }

}  // namespace inkling::cpu
#endif
