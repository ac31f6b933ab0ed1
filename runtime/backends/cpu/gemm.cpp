#include "runtime/backends/cpu/gemm.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/gemm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

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

std::int64_t lanes() { return static_cast<std::int64_t>(hn::Lanes(kTag)); }
std::int64_t panel_width() { return 2 * lanes(); }

void pack(const float* b, std::int64_t k_stride, std::int64_t n_stride, std::int64_t k,
          std::int64_t n, float* packed) {
  const std::int64_t width = panel_width();
  for (std::int64_t first = 0; first < n; first += width) {
    const std::int64_t columns = std::min(width, n - first);
    for (std::int64_t row = 0; row < k; ++row) {
      const float* from = b + row * k_stride + first * n_stride;
      for (std::int64_t j = 0; j < columns; ++j) packed[j] = from[j * n_stride];
      for (std::int64_t j = columns; j < width; ++j) packed[j] = 0.0f;
      packed += width;
    }
  }
}

// One tile: kTileRows rows by kVectors vectors, all of k.
template <int kTileRows, int kVectors>
HWY_INLINE void tile(const Gemm& g, const float* HWY_RESTRICT a, const float* HWY_RESTRICT panel,
                     const float* HWY_RESTRICT bias, float* HWY_RESTRICT c, std::int64_t c_row) {
  const std::int64_t n = lanes(), width = panel_width();
  Vec acc[kTileRows][kVectors];
  for (int r = 0; r < kTileRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      acc[r][v] = g.accumulate ? hn::LoadU(kTag, c + r * c_row + v * n) : hn::Zero(kTag);
    }
  }
  for (std::int64_t k = 0; k < g.k; ++k) {
    Vec b[kVectors];
    for (int v = 0; v < kVectors; ++v) b[v] = hn::LoadU(kTag, panel + v * n);
    for (int r = 0; r < kTileRows; ++r) {
      const Vec x = hn::Set(kTag, a[r * g.a_row]);
      for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::MulAdd(x, b[v], acc[r][v]);
    }
    a += g.a_k;
    panel += width;
  }
  const Vec low = hn::Set(kTag, g.low), high = hn::Set(kTag, g.high);
  for (int v = 0; v < kVectors; ++v) {
    const Vec offset = bias ? hn::LoadU(kTag, bias + v * n) : hn::Zero(kTag);
    for (int r = 0; r < kTileRows; ++r) {
      Vec y = acc[r][v];
      if (bias) y = hn::Add(y, offset);
      if (g.clamp) y = hn::Min(hn::Max(y, low), high);
      hn::StoreU(y, kTag, c + r * c_row + v * n);
    }
  }
}

template <int kVectors>
void rows_of_panel(const Gemm& g, const float* panel, const float* bias, float* c,
                   std::int64_t c_row) {
  std::int64_t m = 0;
  const auto run = [&]<int kTileRows>() {
    for (; m + kTileRows <= g.m; m += kTileRows) {
      tile<kTileRows, kVectors>(g, g.a + m * g.a_row, panel, bias, c + m * c_row, c_row);
    }
  };
  run.template operator()<kRows>();
  if constexpr (kRows > 8) run.template operator()<8>();
  if constexpr (kRows > 4) run.template operator()<4>();
  run.template operator()<2>();
  run.template operator()<1>();
}

// The last panel, where C ends inside it: tiles are made in a local copy of full width.
void last_panel(Gemm g, const float* panel, std::int64_t first, std::int64_t columns) {
  constexpr std::int64_t kStrip = 24;
  HWY_ALIGN float local[kStrip * kPanelWidthMax];
  HWY_ALIGN float bias[kPanelWidthMax] = {};
  if (g.bias) std::copy_n(g.bias + first, columns, bias);
  const std::int64_t width = panel_width(), rows = g.m;
  const float* a = g.a;
  for (std::int64_t m = 0; m < rows; m += kStrip) {
    g.m = std::min(kStrip, rows - m);
    g.a = a + m * g.a_row;
    if (g.accumulate) {
      for (std::int64_t r = 0; r < g.m; ++r)
        std::copy_n(g.c + (m + r) * g.c_row + first, columns, local + r * width);
    }
    if (columns <= lanes()) {
      rows_of_panel<1>(g, panel, g.bias ? bias : nullptr, local, width);
    } else {
      rows_of_panel<2>(g, panel, g.bias ? bias : nullptr, local, width);
    }
    for (std::int64_t r = 0; r < g.m; ++r)
      std::copy_n(local + r * width, columns, g.c + (m + r) * g.c_row + first);
  }
}

void run(const Gemm& g) {
  const std::int64_t width = panel_width();
  const float* panel = g.packed;
  for (std::int64_t first = 0; first < g.n; first += width, panel += g.panel_stride) {
    if (g.n - first < width) {
      last_panel(g, panel, first, g.n - first);
    } else {
      rows_of_panel<2>(g, panel, g.bias ? g.bias + first : nullptr, g.c + first, g.c_row);
    }
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

}  // namespace inkling::cpu
#endif
