#pragma once
// Constants of a TensorFlow Lite file, as ours.

#include <optional>

#include "convert/tflite/schema/tflite_generated.h"
#include "runtime/base/bytes.h"
#include "runtime/tensor.h"

namespace inkling::tflite_import {

// Numbers q with a scale stand for (q - zero_point) scale, for the tensor or for each index of an
// axis.
struct Quantization {
  std::vector<float> scales;
  std::vector<std::int64_t> zero_points;
  std::size_t axis = 0;
};

// Nothing for tensors that are not quantised. kCorrupt: scales that do not fit the shape.
Result<std::optional<Quantization>> quantization_of(const tflite::Tensor& tensor);

Result<Shape> shape_of(const tflite::Tensor& tensor);
Result<DType> dtype_of(const tflite::Tensor& tensor);  // kUnsupported: strings, complex numbers

// The numbers of a constant, dense; f16 and quantised ones as f32.
Result<Tensor> read_constant(const tflite::Tensor& tensor, ByteSpan data);

}  // namespace inkling::tflite_import
