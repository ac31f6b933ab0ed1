// transpose. Axes that stay together are merged first, so that most calls become a batch of plain
// matrix transpositions.

#include <array>
#include <cstring>

#include "runtime/backends/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/transpose.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/backends/cpu/transpose_4x4-inl.h"

#ifndef INK_TRANSPOSE
#define INK_TRANSPOSE
namespace inkling::cpu {
namespace {

// y[c][r] = x[r][c] of what one thread is given. x has `columns` floats a row, y has `rows`.
struct Piece {
  const float* x;
  float* y;
  std::int64_t rows, columns;
  std::int64_t first, end;  // columns of x
};

}  // namespace
}  // namespace inkling::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

void one_by_one(const Piece& p, std::int64_t r0, std::int64_t r1, std::int64_t c0,
                std::int64_t c1) {
  for (std::int64_t c = c0; c < c1; ++c) {
    for (std::int64_t r = r0; r < r1; ++r) p.y[c * p.rows + r] = p.x[r * p.columns + c];
  }
}

// Planes to pixels of few channels: the rows are woven into each other. Gives the columns done.
std::int64_t weave(const Piece& p) {
  std::int64_t c = p.first;
#if HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<float> d;
  const auto n = static_cast<std::int64_t>(hn::Lanes(d));
  const auto row = [&](std::int64_t r) { return hn::LoadU(d, p.x + r * p.columns + c); };
  for (; c + n <= p.end; c += n) {
    float* to = p.y + c * p.rows;
    if (p.rows == 2) hn::StoreInterleaved2(row(0), row(1), d, to);
    if (p.rows == 3) hn::StoreInterleaved3(row(0), row(1), row(2), d, to);
    if (p.rows == 4) hn::StoreInterleaved4(row(0), row(1), row(2), row(3), d, to);
  }
#endif
  return c;
}

void turn(const Piece& p) {
  if (p.rows >= 2 && p.rows <= 4) {
    one_by_one(p, 0, p.rows, weave(p), p.end);
    return;
  }
  constexpr std::int64_t kBlock = 4, kTile = 16;  // a tile's lines of both sides stay in the cache
  const std::int64_t block_columns = p.first + (p.end - p.first) / kBlock * kBlock;
  for (std::int64_t r0 = 0; r0 < p.rows; r0 += kTile) {
    const std::int64_t r1 = std::min(r0 + kTile, p.rows);
    const std::int64_t block_rows = r0 + (r1 - r0) / kBlock * kBlock;
    for (std::int64_t c = p.first; c < block_columns; c += kBlock) {
      for (std::int64_t r = r0; r < block_rows; r += kBlock)
        transpose_4x4(p.x + r * p.columns + c, p.columns, p.y + c * p.rows + r, p.rows);
    }
    one_by_one(p, block_rows, r1, p.first, block_columns);
    one_by_one(p, r0, r1, block_columns, p.end);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(turn);

namespace {

// A transpose of [outer, rows, columns] to [outer, columns, rows] times a run of `inner` floats:
// what almost every permutation is once axes that stay together are merged.
struct Swap {
  std::int64_t outer = 1, rows = 1, columns = 1, inner = 1;
  bool fits = false;
};

Swap swap_of(const Shape& in, std::span<const std::int64_t> permutation) {
  // Merge axes that follow each other in both orders; axes of size 1 merge with anything. Of each
  // merged group: its size, and its position in the input. Fixed arrays, since this also runs with
  // the kernel.
  std::array<std::int64_t, kRankMax> sizes{}, order{};
  std::size_t groups = 0;
  std::int64_t next = -1;
  for (const std::int64_t axis : permutation) {
    const std::int64_t size = in[static_cast<std::size_t>(axis)];
    if (size == 1) continue;
    bool follows = next >= 0 && axis >= next;
    for (std::int64_t a = next; follows && a < axis; ++a)
      follows = in[static_cast<std::size_t>(a)] == 1;
    if (follows) {
      sizes[groups - 1] *= size;
    } else {
      sizes[groups] = size;
      order[groups++] = axis;
    }
    next = axis + 1;
  }
  Swap swap;
  std::size_t first = 0, last = groups;
  const auto in_place = [&](std::size_t i) {
    std::size_t before = 0;
    for (std::size_t j = 0; j < groups; ++j) before += order[j] < order[i];
    return before == i;
  };
  while (first < last && in_place(first)) swap.outer *= sizes[first++];
  while (last > first && in_place(last - 1)) swap.inner *= sizes[--last];
  if (last - first == 0) {
    swap.fits = true;
  } else if (last - first == 2) {
    swap.columns = sizes[first];
    swap.rows = sizes[first + 1];
    swap.fits = true;
  }
  return swap;
}

constexpr std::int64_t kColumns = 64;  // of a piece of work

void run(const KernelArgs& args) {
  const Swap s = swap_of(args.in[0].shape(), args.attrs.integers(Attr::kPermutation));
  const float* x = args.in[0].as<float>();
  float* y = args.out[0].as<float>();
  const std::int64_t pieces = (s.columns + kColumns - 1) / kColumns;
  const auto turn_piece = HWY_DYNAMIC_DISPATCH(turn);
  args.pool.parallel_for(static_cast<std::size_t>(s.outer * pieces),
                         grain_for(static_cast<double>(s.rows * s.inner * kColumns)),
                         [&](std::size_t begin, std::size_t end, unsigned) {
                           for (auto i = static_cast<std::int64_t>(begin);
                                i < static_cast<std::int64_t>(end); ++i) {
                             const std::int64_t matrix = i / pieces * s.rows * s.columns * s.inner;
                             const std::int64_t first = i % pieces * kColumns;
                             const std::int64_t last = std::min(first + kColumns, s.columns);
                             if (s.inner == 1) {
                               turn_piece({x + matrix, y + matrix, s.rows, s.columns, first, last});
                               continue;
                             }
                             for (std::int64_t c = first; c < last; ++c) {
                               for (std::int64_t r = 0; r < s.rows; ++r) {
                                 std::copy_n(x + matrix + (r * s.columns + c) * s.inner, s.inner,
                                             y + matrix + (c * s.rows + r) * s.inner);
                               }
                             }
                           }
                         });
}

bool accepts(const NodeSpec& node) {
  return all_f32(node) && swap_of(node.in[0].shape, node.attrs.integers(Attr::kPermutation)).fits;
}

double cost(const NodeSpec& node) {
  return simple_seconds(static_cast<double>(node.out[0].shape.elements()));
}

constexpr Kernel kRows[] = {{.op = OpKind::kTranspose,
                             .name = "transpose_tiles",
                             .accepts = accepts,
                             .cost = cost,
                             .run = run}};

}  // namespace

std::span<const Kernel> transpose_kernels() { return kRows; }

}  // namespace inkling::cpu
#endif
