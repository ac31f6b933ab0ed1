#pragma once
// Export of models to ONNX (opset 13), so that Netron, onnxruntime and others open them.
//
// Inputs and outputs keep names and shapes; constants become initializers. Images are channels-last
// here and channels-first there, so a convolution or pool stands between two transposes, which
// every optimiser of the field takes out again. Host only.

#include "runtime/model.h"

namespace inkling::onnx_export {

// The bytes of an ONNX file. Metadata go along. kUnsupported: an op that ONNX has no counterpart
// for, or a training graph (variables that are updated); the message names it. kResourceLimit: over
// 2 GiB.
Result<Bytes> export_model(const Model& model);

}  // namespace inkling::onnx_export
