#pragma once
// Import of TensorFlow Lite models (schema version 3) into the vocabulary.
//
// Weights that are stored as f16, as integers with a scale (for a tensor or for each channel) or
// sparse become f32. Activations with a scale stay f32 and are rounded to what their integers could
// hold, so that a quantised model gives what it was made to give; its inputs and outputs keep their
// integer types. What this version cannot run is refused with the op and its place. Host only;
// docs/ops.md lists the ops.

#include <map>
#include <string>

#include "runtime/model.h"

namespace inkling::tflite_import {

bool is_tflite(ByteSpan bytes);  // by the identifier at byte 4

// `input_shapes`, by name, replace those of the file. kCorrupt: not a TensorFlow Lite model, or one
// that contradicts itself. kUnsupported: an op, element type or subgraph; the message names the op.
// kInvalidArgument: a shape for an input that is not there.
Result<Model> import_model(ByteSpan bytes, const std::map<std::string, Shape>& input_shapes = {});

}  // namespace inkling::tflite_import
