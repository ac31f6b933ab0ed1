#include "tools/model_source.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstring>

#include "convert/tflite/import.h"
#include "runtime/base/rng.h"
#include "tools/npy.h"

namespace inkling::tools {

namespace {

// "x=1,3,48,192"
Result<std::pair<std::string, Shape>> parse_shape(std::string_view text) {
  const std::size_t equals = text.find('=');
  std::vector<std::int64_t> dims;
  const char* at = text.data() + std::min(equals, text.size()) + 1;
  const char* end = text.data() + text.size();
  while (equals != std::string_view::npos && at < end) {
    std::int64_t size = 0;
    const auto [next, error] = std::from_chars(at, end, size);
    if (error != std::errc() || (next != end && *next != ',')) break;
    dims.push_back(size);
    at = next + (next != end);
  }
  if (dims.empty() || at < end) {
    return fail(ErrorCode::kInvalidArgument, "--shape ", text, ": expected NAME=SIZE,SIZE,...");
  }
  INK_TRY(const Shape shape, Shape::from(dims));
  return std::make_pair(std::string(text.substr(0, equals)), shape);
}

}  // namespace

void add_model_options(CLI::App& app, ModelSource& source, const char* what) {
  app.add_option("model", source.model, what)->type_name("MODEL")->required();
  app.add_option("--shape", source.shapes,
                 "Concrete shape of an input, NAME=SIZE,SIZE,...; may be repeated")
      ->type_name("SHAPE");
  app.add_option(
         "--value", source.values,
         "Value of an input that decides shapes or branches, NAME=FILE.npy; may be repeated")
      ->type_name("VALUE");
}

bool is_model_file(ByteSpan bytes) {
  return kModelMagic.starts_with(as_text(bytes.first(std::min(bytes.size(), kModelMagic.size()))));
}

Result<NamedTensor> read_named(const std::string& text, const char* option) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    return fail(ErrorCode::kInvalidArgument, option, " ", text, ": expected NAME=FILE.npy");
  INK_TRY(Tensor tensor, read_npy(text.substr(equals + 1)));
  return NamedTensor{text.substr(0, equals), std::move(tensor)};
}

Result<Model> load_model(const ModelSource& source) {
  INK_TRY(const auto file, MappedFile::open(source.model));
  onnx_import::Options options;
  for (const std::string& text : source.shapes) {
    INK_TRY(auto named, parse_shape(text));
    options.input_shapes.insert(std::move(named));
  }
  for (const std::string& text : source.values) {
    INK_TRY(auto named, read_named(text, "--value"));
    options.input_values.emplace(std::move(named.name),
                                 std::make_shared<const Tensor>(std::move(named.tensor)));
  }
  if (tflite_import::is_tflite(file->bytes())) {
    if (!source.values.empty())
      return fail(ErrorCode::kInvalidArgument, source.model.string(),
                  ": --value is for ONNX models only");
    auto model = tflite_import::import_model(file->bytes(), options.input_shapes);
    if (!model) return fail_within(std::move(model).error(), source.model.string());
    return model;
  }
  if (!is_model_file(file->bytes())) {
    auto model = onnx_import::import_model(file->bytes(), options);
    if (!model) return fail_within(std::move(model).error(), source.model.string());
    return model;
  }
  if (!source.shapes.empty() || !source.values.empty())
    return fail(ErrorCode::kInvalidArgument, source.model.string(),
                ": the shapes of a model file are fixed");
  return open_model(source.model);
}

Tensor sample_input(const TensorSpec& spec, std::uint64_t seed) {
  Tensor tensor = Tensor::zeros(spec);
  Rng rng(seed, "inputs");
  if (spec.dtype == DType::kF32) {
    for (float& v : tensor.mutable_data<float>()) v = static_cast<float>(2 * rng.uniform() - 1);
  } else if (spec.dtype == DType::kF64) {
    for (double& v : tensor.mutable_data<double>()) v = 2 * rng.uniform() - 1;
  }
  return tensor;
}

Result<void> fill_inputs(Session& session) {
  std::uint64_t seed = 1;
  for (const ValueId id : session.graph().inputs()) {
    INK_TRY(const TensorView view, session.input(session.graph().value(id).name));
    const Tensor sample = sample_input(view.spec, seed++);
    if (view.spec.bytes() > 0) std::memcpy(view.data, sample.raw(), view.spec.bytes());
  }
  return {};
}

}  // namespace inkling::tools
