#pragma once
// Import of ONNX models (https://github.com/onnx/onnx, opsets 7 to 17) into the vocabulary.
//
// Foreign ops are decomposed: an ONNX op becomes a few of ours, images become channels-last, and
// what only computes shapes is computed here. A model that this version cannot run is refused with
// the name of the node and its op. Host only: this layer links protobuf and is never part of an
// app.

#include <map>
#include <string>

#include "runtime/model.h"

namespace inkling::onnx_import {

struct Options {
  // Concrete shapes for inputs with symbolic sizes, by input name. An input without one takes 1 for
  // its first axis when that is all that is missing.
  std::map<std::string, Shape> input_shapes;
};

// kCorrupt: not an ONNX model or one that contradicts itself. kUnsupported: an op, attribute,
// element type or external data that this version does not import; the message names the node.
// kInvalidArgument: a shape is missing or wrong.
Result<Model> import_model(ByteSpan bytes, const Options& options = {});

}  // namespace inkling::onnx_import
