// broadcast_to, concat, gather: copies of rows. Axes that stay together are merged first.

#include <cstring>

#include "runtime/backends/cpu/cpu.h"
#include "runtime/ops/gather.h"

namespace inkling::cpu {

namespace {

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

// Every part is rows of what lies behind the axis, and so is the result: [outer, size, inner].
void concat_run(const KernelArgs& args) {
  const Shape& out = args.out[0].shape();
  std::int64_t outer = 1, inner = 1;
  const auto axis = static_cast<std::size_t>(args.attrs.integer(Attr::kAxis));
  for (std::size_t i = 0; i < out.rank(); ++i) {
    if (i != axis) (i < axis ? outer : inner) *= out[i];
  }
  const std::int64_t whole = out[axis] * inner;
  args.pool.parallel_for(static_cast<std::size_t>(outer), grain_for(static_cast<double>(whole) / 4),
                         [&](std::size_t begin, std::size_t end, unsigned) {
                           for (auto o = static_cast<std::int64_t>(begin);
                                o < static_cast<std::int64_t>(end); ++o) {
                             float* to = args.out[0].as<float>() + o * whole;
                             for (const TensorView& part : args.in) {
                               const std::int64_t run = part.shape()[axis] * inner;
                               to = std::copy_n(part.as<const float>() + o * run, run, to);
                             }
                           }
                         });
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
    {.op = OpKind::kBroadcastTo,
     .name = "broadcast_to_rows",
     .accepts = accepts_broadcast,
     .cost = cost,
     .run = broadcast_run},
    {.op = OpKind::kConcat,
     .name = "concat_rows",
     .accepts = all_f32,
     .cost = cost,
     .run = concat_run},
    {.op = OpKind::kGather,
     .name = "gather_rows",
     .accepts = accepts_gather,
     .cost = cost,
     .run = gather_run},
};

}  // namespace

std::span<const Kernel> movement_kernels() { return kRows; }

}  // namespace inkling::cpu
