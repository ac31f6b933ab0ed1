#pragma once
// Tensors of an ONNX file, as ours.

#include <cstdint>
#include <optional>

#include "runtime/tensor.h"

namespace onnx {
class TensorProto;
}

namespace inkling::onnx_import {

// The DType of an ONNX element type; nothing for strings and complex numbers.
std::optional<DType> dtype_from(std::int64_t element_type);

// kUnsupported: strings, complex numbers, external data. kCorrupt: fewer or more bytes than the
// shape says.
Result<Tensor> read_tensor(const onnx::TensorProto& proto);

}  // namespace inkling::onnx_import
