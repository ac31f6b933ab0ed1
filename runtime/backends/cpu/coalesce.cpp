// coalesce_rows: the picks are sorted by row and place, so that each row's updates lie together in
// their order; then every row is a sum of its own.

#include "runtime/backends/cpu/cpu.h"
#include "runtime/ops/gather.h"

namespace inkling::cpu {

namespace {

constexpr std::int64_t kRowsMax = std::int64_t{1} << 31;  // row and place share a word

std::size_t picks_of(const NodeSpec& node) {
  return static_cast<std::size_t>(node.in[0].shape.elements());
}

// A word a pick, and where each row's picks begin.
std::size_t scratch_bytes(const NodeSpec& node) {
  return (2 * picks_of(node) + 1) * sizeof(std::uint64_t);
}

bool accepts(const NodeSpec& node) {
  return node.in[1].dtype == DType::kF32 && node.in[1].shape.elements() > 0 &&
         node.attrs.integer(Attr::kCount) < kRowsMax && node.in[0].shape.elements() < kRowsMax;
}

double cost(const NodeSpec& node) {
  return simple_seconds(static_cast<double>(node.in[1].shape.elements()) +
                        30 * static_cast<double>(picks_of(node)));
}

void run(const KernelArgs& args) {
  const std::int64_t rows = args.attrs.integer(Attr::kCount), picked = args.in[0].elements();
  const std::int64_t inner = args.in[1].elements() / picked;
  auto* picks = reinterpret_cast<std::uint64_t*>(args.scratch);
  std::uint64_t* begins = picks + picked;
  std::size_t count = 0;
  for (std::int64_t i = 0; i < picked; ++i) {
    const std::int64_t row = ops::row_of(args.in[0], i, rows);
    if (row >= 0)
      picks[count++] = static_cast<std::uint64_t>(row) << 32 | static_cast<std::uint64_t>(i);
  }
  std::sort(picks, picks + count);
  auto* named = args.out[0].as<std::int64_t>();
  std::size_t distinct = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::int64_t>(picks[i] >> 32);
    if (distinct > 0 && named[distinct - 1] == row) continue;
    begins[distinct] = i;
    named[distinct++] = row;
  }
  begins[distinct] = count;
  std::fill(named + distinct, named + picked, rows);
  const float* updates = args.in[1].as<float>();
  float* values = args.out[1].as<float>();
  args.pool.parallel_for(
      static_cast<std::size_t>(picked), grain_for(static_cast<double>(inner) / 2 + 4),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (std::size_t j = begin; j < end; ++j) {
          float* to = values + static_cast<std::int64_t>(j) * inner;
          std::fill_n(to, inner, 0.0f);
          if (j >= distinct) continue;
          for (std::uint64_t i = begins[j]; i < begins[j + 1]; ++i) {
            const float* from = updates + static_cast<std::int64_t>(picks[i] & 0xffffffffu) * inner;
            for (std::int64_t k = 0; k < inner; ++k) to[k] += from[k];
          }
        }
      });
}

constexpr Kernel kRows[] = {{.op = OpKind::kCoalesceRows,
                             .name = "coalesce_rows_sorted",
                             .accepts = accepts,
                             .cost = cost,
                             .run = run,
                             .scratch_bytes = scratch_bytes}};

}  // namespace

std::span<const Kernel> coalesce_kernels() { return kRows; }

}  // namespace inkling::cpu
