#pragma once
// The matrix product that matmul and the convolutions are made of: C = A B, one thread, any CPU.
//
// B is cut into panels of gemm_panel_width() columns; a panel lies row after row, its missing
// columns zero, so that the inner loop reads it straight through. A tile of C (rows x one or two
// panels) stays in registers for the whole sum, which runs over k in order: the bits of an element
// do not depend on how the work is cut.

#include <cstdint>

namespace inkling::cpu {

inline constexpr std::int64_t kPanelWidthMax = 32;  // of any instruction set

// Columns of a panel on this CPU; divides kPanelWidthMax.
std::int64_t gemm_panel_width();

// Floats of a packed [k, n] matrix.
inline std::int64_t gemm_packed_floats(std::int64_t k, std::int64_t n) {
  return (n + kPanelWidthMax - 1) / kPanelWidthMax * kPanelWidthMax * k;
}

// Packs the matrix whose element (k, n) is b[k * k_stride + n * n_stride].
void gemm_pack(const float* b, std::int64_t k_stride, std::int64_t n_stride, std::int64_t k,
               std::int64_t n, float* packed);

struct Gemm {
  std::int64_t m, n, k;
  const float* a;  // element (m, k) is a[m * a_row + k * a_k]
  std::int64_t a_row, a_k;
  // B: row r of panel p begins at packed + p * panel_stride + r * gemm_panel_width(). A B that is
  // used too few times to be worth packing lies as it is instead, contiguous along n: panel_stride
  // is gemm_panel_width(), and b_row the floats from one row to the next.
  const float* packed;
  std::int64_t panel_stride;
  std::int64_t b_row = 0;  // 0: packed
  float* c;                // element (m, n) is c[m * c_row + n]
  std::int64_t c_row;
  bool accumulate = false;        // C += A B
  const float* bias = nullptr;    // [n], added to each row
  const float* addend = nullptr;  // [m, n], its rows as far apart as those of C
  bool clamp = false;
  float low = 0, high = 0;
};
void gemm(const Gemm& g);

// How a product of m rows is cut into pieces of work: strips of rows, tall where B does not stay in
// an L2 cache, so that it streams by few times; and, where that gives the threads too few pieces,
// groups of panels.
struct GemmPieces {
  std::int64_t strip;   // rows of a piece; the last may have fewer
  std::int64_t panels;  // of a piece; the last may have fewer
  std::int64_t strips, groups;

  std::int64_t count() const { return strips * groups; }
};
GemmPieces gemm_pieces(std::int64_t m, std::int64_t n, std::int64_t k, unsigned threads);

// Piece i of a product.
Gemm gemm_piece(const Gemm& whole, const GemmPieces& pieces, std::int64_t i);

}  // namespace inkling::cpu
