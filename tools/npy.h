#pragma once
// NumPy's .npy files, versions 1 and 2, little-endian and in row-major order:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//
// A file is hostile: kCorrupt when it contradicts itself, kUnsupported for other orders, byte
// orders and element types, kResourceLimit for shapes over runtime/tensor.h's limits.

#include "runtime/base/file.h"
#include "runtime/tensor.h"

namespace inkling::tools {

Result<Tensor> decode_npy(ByteSpan bytes);
// kUnsupported: bf16, which NumPy does not have.
Result<Bytes> encode_npy(const TensorView& tensor);

Result<Tensor> read_npy(const Path& path);

}  // namespace inkling::tools
