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

// Two panels at once by half as many rows, where an instruction for a number of A then serves four
// products, not two.
constexpr bool kPairs = kRows == 12;

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

// Floats to be asked for ahead of their use; without a step, always the same ones.
struct Ahead {
  const float* at;
  std::int64_t step;
};

// One tile: kTileRows rows by kVectors vectors, all of k; the last vector holds `last` columns. A
// packed panel has zeros beyond the edge of C. The loops over rows and vectors must unroll, or the
// compiler keeps the accumulators in memory. What lies ahead comes into the L2 cache meanwhile.
template <int kTileRows, int kVectors, bool kPacked>
HWY_INLINE void tile(const Gemm& g, const float* HWY_RESTRICT a, const float* HWY_RESTRICT panel,
                     Ahead ahead, const float* HWY_RESTRICT bias, const float* HWY_RESTRICT addend,
                     float* HWY_RESTRICT c, std::int64_t last) {
  const std::int64_t n = lanes(), b_row = kPacked ? panel_width() : g.b_row;
  const std::int64_t a_row = g.a_row, a_k = g.a_k, c_row = g.c_row;
  const bool whole = last == n;
  const auto load = [&](const float* p, int v) {
    return v + 1 < kVectors || whole ? hn::LoadU(kTag, p + v * n) : load_first(p + v * n, last);
  };
  Vec acc[kTileRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::Zero(kTag);
  }
  if (g.accumulate) {
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[r][v] = load(c + r * c_row, v);
    }
  }
  const std::int64_t second = g.panel_stride;
  const float* const end = panel + g.k * b_row;
#pragma GCC unroll 4
  for (; panel != end; panel += b_row) {
    Vec b[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const float* from = panel + (v < 2 ? 0 : second) + v % 2 * n;
      b[v] = kPacked || v + 1 < kVectors || whole ? hn::LoadU(kTag, from) : load_first(from, last);
    }
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; ++r) {
      const Vec x = hn::Set(kTag, a[r * a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::MulAdd(x, b[v], acc[r][v]);
    }
    if constexpr (kPacked) {
      __builtin_prefetch(ahead.at, 0, 2);
      ahead.at += ahead.step;
    }
    a += a_k;
  }
  if (bias) {
    Vec offset[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) offset[v] = load(bias, v);
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::Add(acc[r][v], offset[v]);
    }
  }
  if (addend) {
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        acc[r][v] = hn::Add(acc[r][v], load(addend + r * c_row, v));
    }
  }
  if (g.clamp) {
    const Vec low = hn::Set(kTag, g.low), high = hn::Set(kTag, g.high);
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[r][v] = bounded(acc[r][v], low, high);
    }
  }
  if (whole) {
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) hn::StoreU(acc[r][v], kTag, c + r * c_row + v * n);
    }
    return;
  }
#pragma GCC unroll 12
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v + 1 < kVectors; ++v) hn::StoreU(acc[r][v], kTag, c + r * c_row + v * n);
    store_first(acc[r][kVectors - 1], c + r * c_row + (kVectors - 1) * n, last);
  }
}

// Tiles of kTileRows rows one below the other, from row m until `end`, in columns from `first` on.
// One call for many tiles: what a call costs shows where sums are short.
template <int kTileRows, int kVectors, bool kPacked>
void tiles(const Gemm& g, const float* panel, std::int64_t first, std::int64_t last, std::int64_t m,
           std::int64_t end) {
  constexpr std::int64_t kPanels = (kVectors + 1) / 2;
  const float* bias = g.bias ? g.bias + first : nullptr;
  for (; m < end; m += kTileRows) {
    // The topmost tiles ask for the panels that come after these: two tiles a panel, half each.
    const std::int64_t half = m / kTileRows;
    Ahead ahead{panel, 0};
    if (half < 2 * kPanels) {
      ahead.step = panel_width() / 2;
      ahead.at += g.panel_stride * (kPanels + half / 2) + half % 2 * g.k * ahead.step;
    }
    const std::int64_t at = m * g.c_row + first;
    tile<kTileRows, kVectors, kPacked>(g, g.a + m * g.a_row, panel, ahead, bias,
                                       g.addend ? g.addend + at : nullptr, g.c + at, last);
  }
}

// All rows of one panel or, with four vectors, of two. A tile of few rows waits for its own sums,
// so the last two share what is left.
template <int kVectors, bool kPacked>
void rows_of_panels(const Gemm& g, const float* panel, std::int64_t first, std::int64_t last) {
  constexpr int kTallest = kVectors > 2 ? kRows / 2 : kRows, kShared = kTallest + kTallest / 3;
  for (std::int64_t m = 0; m < g.m;) {
    const std::int64_t left = g.m - m;
    std::int64_t rows = left > kTallest ? (left + 1) / 2 : left, end = m + rows;
    if (left >= kShared) {
      rows = kTallest;
      end = m + (1 + (left - kShared) / kTallest) * kTallest;
    }
    [&]<int... kFewer>(std::integer_sequence<int, kFewer...>) {
      const auto run = [&]<int kTileRows>() {
        if (rows != kTileRows) return false;
        tiles<kTileRows, kVectors, kPacked>(g, panel, first, last, m, end);
        return true;
      };
      (run.template operator()<kTallest - kFewer>() || ...);
    }
    (std::make_integer_sequence<int, kTallest>());
    m = end;
  }
}

template <bool kPacked>
void run_panels(const Gemm& g) {
  const std::int64_t width = panel_width(), n = lanes();
  const float* panel = g.packed;
  for (std::int64_t first = 0; first < g.n;) {
    const std::int64_t columns = g.n - first;
    std::int64_t panels = 1;
    if (kPairs && columns > width + n) {
      panels = 2;
      rows_of_panels<4, kPacked>(g, panel, first, std::min(columns - width - n, n));
    } else if (columns > n) {
      rows_of_panels<2, kPacked>(g, panel, first, std::min(columns - n, n));
    } else {
      rows_of_panels<1, kPacked>(g, panel, first, columns);
    }
    first += panels * width;
    panel += panels * g.panel_stride;
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
  constexpr std::int64_t kCachedFloats = 1 << 17, kStripFloats = 1 << 18,
                         kShortStripFloats = 1 << 14;
  constexpr std::int64_t kStripMin = 48, kStripMax = 480;
  const auto ceil_div = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t strip_floats = k * n <= kCachedFloats ? kShortStripFloats : kStripFloats;
  const std::int64_t tallest =
      std::clamp(strip_floats / std::max<std::int64_t>(k, 1), kStripMin, kStripMax);
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
  // Groups of panels are small: two threads get as good as equal shares of them. Panels are
  // multiplied in pairs.
  const std::int64_t share = pieces.strips >= wanted ? panels : panels / (2 * wanted);
  pieces.panels = std::max<std::int64_t>(2, ceil_div(share, 2) * 2);
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
