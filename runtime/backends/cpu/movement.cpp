// transpose, broadcast_to, gather: moving without arithmetic. Axes that stay together are merged
// first, so that most calls become a batch of plain matrix transpositions or of row copies.

#include <cstring>
#include <vector>

#include "runtime/backends/cpu/cpu.h"
#include "runtime/ops/gather.h"

namespace inkling::cpu {

namespace {

// A transpose of [outer, rows, columns] to [outer, columns, rows] times a run of `inner` floats:
// what almost every permutation is once axes that stay together are merged.
struct Swap {
  std::int64_t outer = 1, rows = 1, columns = 1, inner = 1;
  bool fits = false;
};

Swap swap_of(const Shape& in, std::span<const std::int64_t> permutation) {
  // Merge axes that follow each other in both orders; axes of size 1 merge with anything.
  std::vector<std::int64_t> sizes,
      order;  // of merged groups: size, and position of the group in the input
  std::int64_t next = -1;
  for (const std::int64_t axis : permutation) {
    const std::int64_t size = in[static_cast<std::size_t>(axis)];
    if (size == 1) continue;
    bool follows = next >= 0 && axis >= next;
    for (std::int64_t a = next; follows && a < axis; ++a)
      follows = in[static_cast<std::size_t>(a)] == 1;
    if (follows) {
      sizes.back() *= size;
    } else {
      sizes.push_back(size);
      order.push_back(axis);
    }
    next = axis + 1;
  }
  Swap swap;
  std::size_t first = 0, last = sizes.size();
  std::vector<std::int64_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  while (first < last && order[first] == sorted[first]) swap.outer *= sizes[first++];
  while (last > first && order[last - 1] == sorted[last - 1]) swap.inner *= sizes[--last];
  if (last - first == 0) {
    swap.fits = true;
  } else if (last - first == 2) {
    swap.columns = sizes[first];
    swap.rows = sizes[first + 1];
    swap.fits = true;
  }
  return swap;
}

void transpose_run(const KernelArgs& args) {
  const Swap s = swap_of(args.in[0].shape(), args.attrs.integers(Attr::kPermutation));
  const float* x = args.in[0].as<float>();
  float* y = args.out[0].as<float>();
  constexpr std::int64_t kTile = 16;
  const std::int64_t tiles = (s.columns + kTile - 1) / kTile;
  args.pool.parallel_for(
      static_cast<std::size_t>(s.outer * tiles),
      grain_for(static_cast<double>(s.rows * s.inner * kTile)),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto t = static_cast<std::int64_t>(begin); t < static_cast<std::int64_t>(end); ++t) {
          const std::int64_t matrix = t / tiles * s.rows * s.columns * s.inner;
          const std::int64_t c_end = std::min(s.columns, (t % tiles + 1) * kTile);
          for (std::int64_t r0 = 0; r0 < s.rows; r0 += kTile) {
            for (std::int64_t c = t % tiles * kTile; c < c_end; ++c) {
              for (std::int64_t r = r0; r < std::min(r0 + kTile, s.rows); ++r) {
                const float* from = x + matrix + (r * s.columns + c) * s.inner;
                float* to = y + matrix + (c * s.rows + r) * s.inner;
                if (s.inner == 1) {
                  *to = *from;
                } else {
                  std::memcpy(to, from, static_cast<std::size_t>(s.inner) * sizeof(float));
                }
              }
            }
          }
        }
      });
}

bool accepts_transpose(const NodeSpec& node) {
  return all_f32(node) && swap_of(node.in[0].shape, node.attrs.integers(Attr::kPermutation)).fits;
}

// [outer, 1, inner] to [outer, repeats, inner].
struct Repetition {
  std::int64_t outer = 1, repeats = 1, inner = 1;
  bool fits = true;
};

Repetition repetition_of(const Shape& in, const Shape& out) {
  Repetition r;
  enum { kInner, kRepeats, kOuter } part = kInner;
  for (std::size_t i = 0; i < out.rank(); ++i) {
    const std::int64_t to = out[out.rank() - 1 - i];
    const std::int64_t from = i < in.rank() ? in[in.rank() - 1 - i] : 1;
    if (to == 1) continue;
    if (from == to) {
      if (part == kRepeats) part = kOuter;
      (part == kInner ? r.inner : r.outer) *= to;
    } else {
      if (part == kOuter) r.fits = false;
      if (part == kInner) part = kRepeats;
      r.repeats *= to;
    }
  }
  return r;
}

void broadcast_run(const KernelArgs& args) {
  const Repetition s = repetition_of(args.in[0].shape(), args.out[0].shape());
  const float* x = args.in[0].as<float>();
  float* y = args.out[0].as<float>();
  args.pool.parallel_for(
      static_cast<std::size_t>(s.outer), grain_for(static_cast<double>(s.repeats * s.inner) / 4),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto o = static_cast<std::int64_t>(begin); o < static_cast<std::int64_t>(end); ++o) {
          float* to = y + o * s.repeats * s.inner;
          for (std::int64_t r = 0; r < s.repeats; ++r, to += s.inner)
            std::copy_n(x + o * s.inner, s.inner, to);
        }
      });
}

bool accepts_broadcast(const NodeSpec& node) {
  return all_f32(node) && repetition_of(node.in[0].shape, node.out[0].shape).fits;
}

void gather_run(const KernelArgs& args) {
  const auto s = ops::gather_size(args.in[0].shape(), args.in[1].shape(), args.attrs);
  const auto row_bytes = static_cast<std::size_t>(s.inner) * dtype_bytes(args.in[0].spec.dtype);
  const auto* x = args.in[0].as<const std::byte>();
  auto* y = args.out[0].as<std::byte>();
  args.pool.parallel_for(
      static_cast<std::size_t>(s.outer * s.picked), grain_for(static_cast<double>(row_bytes) / 16),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (std::size_t i = begin; i < end; ++i) {
          const auto outer = static_cast<std::int64_t>(i) / s.picked;
          const std::int64_t row =
              ops::row_of(args.in[1], static_cast<std::int64_t>(i) % s.picked, s.rows);
          if (row < 0) {
            std::memset(y + i * row_bytes, 0, row_bytes);
          } else {
            std::memcpy(y + i * row_bytes,
                        x + static_cast<std::size_t>(outer * s.rows + row) * row_bytes, row_bytes);
          }
        }
      });
}

bool accepts_gather(const NodeSpec& node) { return node.out[0].shape.elements() > 0; }

double cost(const NodeSpec& node) {
  return simple_seconds(static_cast<double>(node.out[0].shape.elements()));
}

constexpr Kernel kRows[] = {
    {.op = OpKind::kTranspose,
     .name = "transpose_tiles",
     .accepts = accepts_transpose,
     .cost = cost,
     .run = transpose_run},
    {.op = OpKind::kBroadcastTo,
     .name = "broadcast_to_rows",
     .accepts = accepts_broadcast,
     .cost = cost,
     .run = broadcast_run},
    {.op = OpKind::kGather,
     .name = "gather_rows",
     .accepts = accepts_gather,
     .cost = cost,
     .run = gather_run},
};

}  // namespace

std::span<const Kernel> movement_kernels() { return kRows; }

}  // namespace inkling::cpu
