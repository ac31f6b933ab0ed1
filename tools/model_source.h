#pragma once
// A model named on a command line: a model file, an ONNX or a TensorFlow Lite model, told by
// content, with the shapes and values that it may need.

#include <string>
#include <vector>

#include "convert/onnx/program.h"

namespace CLI {
class App;
}

namespace inkling::tools {

struct ModelSource {
  Path model;
  std::vector<std::string> shapes, values;  // NAME=SIZE,SIZE,... and NAME=FILE.npy
};

// Adds the model as a positional argument, --shape and --value.
void add_model_options(CLI::App& app, ModelSource& source, const char* what);

// kInvalidArgument: a shape or value that does not parse, or is given for a model file, whose
// shapes are fixed. The rest as open_model and import_model.
Result<Model> load_model(const ModelSource& source);

bool is_model_file(ByteSpan bytes);  // or the beginning of one that was cut short

// "NAME=FILE.npy", read.
Result<NamedTensor> read_named(const std::string& text, const char* option);

// Numbers to time a model with: floats in [-1, 1), the same at each call, zeros elsewhere.
Tensor sample_input(const TensorSpec& spec, std::uint64_t seed);
Result<void> fill_inputs(Session& session);

}  // namespace inkling::tools
