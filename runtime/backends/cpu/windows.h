#pragma once
// The windows of a dense convolution as rows of a matrix, [output pixels, kernel height * kernel
// width * channels], and back: what a matrix product needs of a convolution.

#include <cstdint>

#include "runtime/ops/linear.h"

namespace inkling::cpu {

struct Pixel {
  std::int64_t image, y, x;
};

struct ConvolutionSize : ops::WindowSize {
  std::int64_t out;  // output channels
  std::int64_t taps() const { return kernel_height * kernel_width; }
  std::int64_t row() const { return taps() * channels; }  // floats that one output pixel reads
  bool pointwise() const {
    return taps() == 1 && stride_y == 1 && stride_x == 1 && out_height == height &&
           out_width == width;
  }
  Pixel out_pixel(std::int64_t p) const {
    return {p / (out_height * out_width), p / out_width % out_height, p % out_width};
  }
  double multiply_adds() const {
    return static_cast<double>(out_pixels()) * static_cast<double>(row() * out);
  }
};

// Copies what output pixels [first, first + count) of x read; padding reads zero.
void gather_windows(const ConvolutionSize& s, const float* x, std::int64_t first,
                    std::int64_t count, float* rows);

// The inverse: adds rows to the pixels of dx that they came from.
void scatter_windows(const ConvolutionSize& s, const float* rows, std::int64_t first,
                     std::int64_t count, float* dx);

}  // namespace inkling::cpu
