#include "runtime/backends/cpu/gemm.h"

#include <algorithm>
#include <cstring>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/gemm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/backends/cpu/bounded-inl.h"
#include "runtime/backends/cpu/transpose_4x4-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr hn::CappedTag<float, kPanelWidthMax / 2> kTag;
using Vec = hn::Vec<decltype(kTag)>;

// Rows of a tile: as many accumulators as the registers hold beside two vectors of B and one of A.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kRows = 12;
#elif HWY_TARGET == HWY_AVX2
constexpr int kRows = 6;
#else
constexpr int kRows = 4;
#endif

constexpr std::int64_t kCacheLine = 16;  // floats

std::int64_t lanes() { return static_cast<std::int64_t>(hn::Lanes(kTag)); }
std::int64_t panel_width() { return 2 * lanes(); }

// One panel of a matrix that lies column by column.
void pack_columns(const float* b, std::int64_t n_stride, std::int64_t k, std::int64_t columns,
                  float* packed) {
  const std::int64_t width = panel_width();
  std::int64_t j = 0;
  for (; j + 4 <= columns; j += 4) {
    std::int64_t row = 0;
    for (; row + 4 <= k; row += 4)
      transpose_4x4(b + j * n_stride + row, n_stride, packed + row * width + j, width);
    for (; row < k; ++row) {
      for (std::int64_t i = j; i < j + 4; ++i) packed[row * width + i] = b[i * n_stride + row];
    }
  }
  for (std::int64_t row = 0; row < k; ++row) {
    for (std::int64_t i = j; i < columns; ++i) packed[row * width + i] = b[i * n_stride + row];
    std::fill(packed + row * width + columns, packed + (row + 1) * width, 0.0f);
  }
}

void pack(const float* b, std::int64_t k_stride, std::int64_t n_stride, std::int64_t k,
          std::int64_t n, float* packed) {
  const std::int64_t width = panel_width();
  for (std::int64_t first = 0; first < n; first += width) {
    const std::int64_t columns = std::min(width, n - first);
    if (k_stride == 1 && n_stride != 1) {
      pack_columns(b + first * n_stride, n_stride, k, columns, packed);
      packed += k * width;
      continue;
    }
    for (std::int64_t row = 0; row < k; ++row) {
      const float* from = b + row * k_stride + first * n_stride;
      if (n_stride == 1 && columns == width) {
        hn::StoreU(hn::LoadU(kTag, from), kTag, packed);
        hn::StoreU(hn::LoadU(kTag, from + lanes()), kTag, packed + lanes());
        packed += width;
        continue;
      }
      for (std::int64_t j = 0; j < columns; ++j) packed[j] = from[j * n_stride];
      for (std::int64_t j = columns; j < width; ++j) packed[j] = 0.0f;
      packed += width;
    }
  }
}

// The first `count` lanes, zeros behind; what lies behind in memory is not touched. AVX2's masked
// loads of floats do not fault, though Highway says so of its masked loads in general.
HWY_INLINE Vec load_first(const float* p, std::int64_t count) {
#if HWY_TARGET <= HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(kTag, static_cast<std::size_t>(count)), kTag, p);
#else
  HWY_ALIGN float lane[kPanelWidthMax / 2] = {};
  std::copy_n(p, count, lane);
  return hn::Load(kTag, lane);
#endif
}

// By powers of two: the masked stores of AVX2 take tens of cycles on some CPUs.
HWY_INLINE void store_first(Vec v, float* p, std::int64_t count) {
#if HWY_TARGET <= HWY_AVX3
  hn::BlendedStore(v, hn::FirstN(kTag, static_cast<std::size_t>(count)), kTag, p);
#else
  HWY_ALIGN float lane[kPanelWidthMax / 2];
  hn::Store(v, kTag, lane);
  const float* from = lane;
  const auto copy = [&]<int kCount>() {
    if ((count & kCount) == 0) return;
    std::memcpy(p, from, kCount * sizeof(float));
    p += kCount;
    from += kCount;
  };
  copy.template operator()<8>();
  copy.template operator()<4>();
  copy.template operator()<2>();
  copy.template operator()<1>();
#endif
}

// Where C ends: the last vector of a tile holds `last` columns, all lanes when whole.
template <bool kWhole>
struct Edge {
  std::int64_t last;
  HWY_INLINE Vec load(const float* p, bool is_last) const {
    return kWhole || !is_last ? hn::LoadU(kTag, p) : load_first(p, last);
  }
  HWY_INLINE void store(Vec v, float* p, bool is_last) const {
    if (kWhole || !is_last) {
      hn::StoreU(v, kTag, p);
    } else {
      store_first(v, p, last);
    }
  }
};

// Floats to be asked for ahead of their use; without a step, always the same ones.
struct Ahead {
  const float* at;
  std::int64_t step;
};

// One tile: kTileRows rows by kVectors vectors, all of k. A packed panel has zeros beyond the edge.
// The loops over its rows and vectors must unroll, or the compiler keeps the accumulators in
// memory.
//
// `next` is what of the panel after this one comes from memory into the L2 cache meanwhile, a cache
// line a step.
template <int kTileRows, int kVectors, bool kWhole, bool kPacked>
HWY_INLINE void tile(const Gemm& g, const float* HWY_RESTRICT a, const float* HWY_RESTRICT panel,
                     Ahead next, const float* HWY_RESTRICT bias, const float* HWY_RESTRICT addend,
                     float* HWY_RESTRICT c, Edge<kWhole> edge) {
  const std::int64_t n = lanes(), b_row = kPacked ? panel_width() : g.b_row;
  const std::int64_t a_row = g.a_row, a_k = g.a_k;
  Vec acc[kTileRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      acc[r][v] =
          g.accumulate ? edge.load(c + r * g.c_row + v * n, v + 1 == kVectors) : hn::Zero(kTag);
    }
  }
  for (std::int64_t k = 0; k < g.k; ++k) {
    Vec b[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      b[v] = kPacked ? hn::LoadU(kTag, panel + v * n) : edge.load(panel + v * n, v + 1 == kVectors);
    }
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; ++r) {
      const Vec x = hn::Set(kTag, a[r * a_row]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::MulAdd(x, b[v], acc[r][v]);
    }
    if constexpr (kPacked) {
      __builtin_prefetch(next.at, 0, 2);
      next.at += next.step;
    }
    a += a_k;
    panel += b_row;
  }
  const Vec low = hn::Set(kTag, g.low), high = hn::Set(kTag, g.high);
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const Vec offset = bias ? edge.load(bias + v * n, v + 1 == kVectors) : hn::Zero(kTag);
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; ++r) {
      Vec y = acc[r][v];
      if (bias) y = hn::Add(y, offset);
      if (addend) y = hn::Add(y, edge.load(addend + r * g.c_row + v * n, v + 1 == kVectors));
      if (g.clamp) y = bounded(y, low, high);
      edge.store(y, c + r * g.c_row + v * n, v + 1 == kVectors);
    }
  }
}

// Rows of the next tile. A tile of few rows waits for its own sums, so the last two share what is
// left.
int next_rows(std::int64_t left) {
  if (left >= kRows + kRows / 3) return kRows;
  return static_cast<int>(left > kRows ? (left + 1) / 2 : left);
}

template <int kVectors, bool kWhole, bool kPacked>
void rows_of_panel(const Gemm& g, const float* panel, std::int64_t first, Edge<kWhole> edge) {
  const float* bias = g.bias ? g.bias + first : nullptr;
  const float* addend = g.addend ? g.addend + first : nullptr;
  float* c = g.c + first;
  Ahead next{panel + g.panel_stride, kCacheLine};
  const float* const next_end = next.at + g.k * panel_width();
  for (std::int64_t m = 0; m < g.m;) {
    const int rows = next_rows(g.m - m);
    [&]<int... kFewer>(std::integer_sequence<int, kFewer...>) {
      const auto run = [&]<int kTileRows>() {
        if (rows != kTileRows) return false;
        tile<kTileRows, kVectors, kWhole, kPacked>(g, g.a + m * g.a_row, panel, next, bias,
                                                   addend ? addend + m * g.c_row : nullptr,
                                                   c + m * g.c_row, edge);
        return true;
      };
      (run.template operator()<kRows - kFewer>() || ...);
    }
    (std::make_integer_sequence<int, kRows>());
    m += rows;
    next.at += g.k * next.step;
    if (next.at >= next_end) next.step = 0;
  }
}

template <bool kPacked>
void run_panels(const Gemm& g) {
  const std::int64_t width = panel_width();
  const float* panel = g.packed;
  for (std::int64_t first = 0; first < g.n; first += width, panel += g.panel_stride) {
    const std::int64_t columns = g.n - first;
    if (columns >= width) {
      rows_of_panel<2, true, kPacked>(g, panel, first, {});
    } else if (columns > lanes()) {
      rows_of_panel<2, false, kPacked>(g, panel, first, {columns - lanes()});
    } else {
      rows_of_panel<1, false, kPacked>(g, panel, first, {columns});
    }
  }
}

// Long sums of packed panels in blocks, so that a strip of A, a panel and the next one stay in an
// L2 cache together; C holds the sum meanwhile.
void run_blocks(const Gemm& g) {
  constexpr std::int64_t kBlock = 1024;
  for (std::int64_t k = 0; k == 0 || k < g.k; k += kBlock) {
    Gemm block = g;
    block.k = std::min(kBlock, g.k - k);
    block.a += k * g.a_k;
    block.packed += k * panel_width();
    block.accumulate = g.accumulate || k > 0;
    if (k + kBlock < g.k) {  // only the last finishes the sum
      block.bias = block.addend = nullptr;
      block.clamp = false;
    }
    run_panels<true>(block);
  }
}

void run(const Gemm& g) {
  if (g.b_row == 0) {
    run_blocks(g);
  } else {
    run_panels<false>(g);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(panel_width);
HWY_EXPORT(pack);
HWY_EXPORT(run);

std::int64_t gemm_panel_width() { return HWY_DYNAMIC_DISPATCH(panel_width)(); }

void gemm_pack(const float* b, std::int64_t k_stride, std::int64_t n_stride, std::int64_t k,
               std::int64_t n, float* packed) {
  HWY_DYNAMIC_DISPATCH(pack)(b, k_stride, n_stride, k, n, packed);
}

void gemm(const Gemm& g) { HWY_DYNAMIC_DISPATCH(run)(g); }

GemmPieces gemm_pieces(std::int64_t m, std::int64_t n, std::int64_t k, unsigned threads) {
  constexpr std::int64_t kCachedFloats = 1 << 17, kStripFloats = 1 << 18;
  constexpr std::int64_t kStripMin = 48, kStripMax = 480;
  const auto ceil_div = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t tallest =
      k * n <= kCachedFloats
          ? kStripMin
          : std::clamp(kStripFloats / std::max<std::int64_t>(k, 1), kStripMin, kStripMax);
  // Two pieces a thread let the faster one help out; rows in plenty give them.
  const std::int64_t wanted = threads > 1 ? 2 * static_cast<std::int64_t>(threads) : 1;
  std::int64_t strips = ceil_div(m, tallest);
  if (strips < wanted) strips = std::clamp(m / kStripMin, strips, wanted);
  if (strips >= wanted) strips = ceil_div(strips, threads) * threads;  // equal shares
  strips = std::max<std::int64_t>(strips, 1);
  GemmPieces pieces{};
  pieces.strip = std::max<std::int64_t>(1, ceil_div(m, strips));
  pieces.strips = ceil_div(m, pieces.strip);
  const std::int64_t panels = ceil_div(n, gemm_panel_width());
  // Groups of panels are small: two threads get as good as equal shares of them.
  pieces.panels =
      std::max<std::int64_t>(1, pieces.strips >= wanted ? panels : panels / (2 * wanted));
  pieces.groups = ceil_div(panels, pieces.panels);
  return pieces;
}

Gemm gemm_piece(const Gemm& whole, const GemmPieces& pieces, std::int64_t i) {
  const std::int64_t row = i / pieces.groups * pieces.strip,
                     panel = i % pieces.groups * pieces.panels;
  const std::int64_t column = panel * gemm_panel_width();
  Gemm g = whole;
  g.m = std::min(pieces.strip, whole.m - row);
  g.n = std::min(pieces.panels * gemm_panel_width(), whole.n - column);
  if (g.a != nullptr) g.a += row * g.a_row;
  g.packed += panel * g.panel_stride;
  g.c += row * g.c_row + column;
  if (g.bias != nullptr) g.bias += column;
  if (g.addend != nullptr) g.addend += row * g.c_row + column;
  return g;
}

}  // namespace inkling::cpu
#endif
