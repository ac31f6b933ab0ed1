#pragma once
// What import_model and Program share: one import of a parsed model.

#include "convert/onnx/importer.h"

namespace inkling::onnx_import {

Result<onnx::ModelProto> parse_model(ByteSpan bytes);

// The standard opset that the model is written in.
Result<std::int64_t> opset_of(const onnx::ModelProto& model);

// The model with the options' shapes and values put in. When it fails because something must be
// known that depends on inputs, their names are in `needed`.
Result<Model> specialize(const onnx::ModelProto& model, Weights& weights, const Options& options,
                         std::set<std::string>& needed);

}  // namespace inkling::onnx_import
