#pragma once
// Import of ONNX models (https://github.com/onnx/onnx, opsets 1 to 17) into the vocabulary.
//
// Foreign ops are decomposed: an ONNX op becomes a few of ours, images become channels-last, and
// what depends on constants only is computed here: shapes, conditions, trip counts. A model that
// this version cannot run is refused with the name of the node and its op. Host only: this layer
// links protobuf and is never part of an app. docs/ops.md lists the ops.

#include <map>
#include <memory>
#include <set>
#include <string>

#include "runtime/model.h"

namespace inkling::onnx_import {

struct Options {
  // Concrete shapes for inputs with symbolic sizes, by input name. An input without one takes 1 for
  // its first axis when that is all that is missing.
  std::map<std::string, Shape> input_shapes = {};
  // Inputs that become constants, for models in which a shape, an axis or a branch depends on one.
  std::map<std::string, std::shared_ptr<const Tensor>> input_values = {};
  // An input that is a sequence of n tensors becomes n inputs, "name[0]" to "name[n - 1]".
  std::map<std::string, std::size_t> sequence_lengths = {};
  std::set<std::string> absent_inputs = {};  // inputs of an optional type that are empty
};

// An output that is a sequence becomes outputs "name[0]", "name[1]", ...
//
// kCorrupt: not an ONNX model or one that contradicts itself. kUnsupported: an op, attribute,
// element type or external data that this version does not import; the message names the node.
// kInvalidArgument: a shape is missing or wrong. kResourceLimit: loops that unroll without end.
Result<Model> import_model(ByteSpan bytes, const Options& options = {});

}  // namespace inkling::onnx_import
