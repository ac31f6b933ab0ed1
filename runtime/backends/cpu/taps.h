#pragma once
// Sums over taps: what a pixel of a depthwise convolution, or of its input gradient, is.

#include <array>
#include <cstdint>

#include "runtime/backends/cpu/depthwise.h"
#include "runtime/ops/linear.h"

namespace inkling::cpu {

// What a pixel of the result sums over.
struct Taps {
  struct Tap {
    std::int64_t from, weight;  // floats beyond the pixel's place in the source, and in the weights
  };
  std::array<Tap, kDepthwiseTapsMax> tap;
  std::size_t count = 0;
  void add(std::int64_t from, std::int64_t weight) { tap[count++] = {from, weight}; }
};

// Neighbours in a row of the result with the same taps.
struct Run {
  const float* from;  // the first pixel's place in the source
  std::int64_t step;  // floats from one pixel's place to the next one's
  std::int64_t pixels;
  float* to;
};

// to[pixel][c] = clamp(bias[c] + sum over taps of from[tap][c] weights[tap][c]), for each channel
// c.
void sum_taps(const Taps& taps, const Run& run, const float* weights, std::int64_t channels,
              const ops::Epilogue<float>& epilogue);

}  // namespace inkling::cpu
