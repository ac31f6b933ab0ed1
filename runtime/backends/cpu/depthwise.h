#pragma once
// One row of a depthwise convolution.

#include <cstdint>

#include "runtime/ops/linear.h"

namespace inkling::cpu {

inline constexpr std::int64_t kDepthwiseTapsMax = 64;  // of a kernel

// Rows of one image, [rows, width, channels]: row i lies in place i % rows, so that a window may
// slide over an image that is never there as a whole.
struct RowRing {
  const float* first;
  std::int64_t rows;
};

// y[out_width, channels] = row `oy` of the result; the rows of x that it reads must be there.
void depthwise_row(const ops::WindowSize& s, const RowRing& x, std::int64_t oy,
                   const float* weights, const ops::Epilogue<float>& epilogue, float* y);

}  // namespace inkling::cpu
