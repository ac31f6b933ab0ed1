// inkling run: a model on arrays from .npy files, or on a picture that the model says how to take.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "convert/tflite/import.h"
#include "tools/command.h"
#include "tools/console.h"
#include "tools/kernel_cache.h"
#include "tools/model_source.h"
#include "tools/npy.h"
#include "tools/train/classifier.h"

namespace inkling::tools {
namespace {

struct RunSpec {
  Path model, output_dir;
  std::vector<std::string> inputs;
  TuneOptions tune;
  unsigned threads = 1;
};

Result<std::vector<NamedTensor>> run_model(const RunSpec& spec, const Model& model,
                                           std::span<const NamedTensor> inputs) {
  INK_TRY(const KernelChoice kernels, kernel_choice(spec.tune));
  INK_TRY(Session session,
          Session::create(model.graph, {.threads = spec.threads, .kernels = &kernels}));
  if (inputs.size() != model.graph.inputs().size())
    return fail(ErrorCode::kInvalidArgument, inputs.size(), " inputs given, the model takes ",
                model.graph.inputs().size());
  return run_named(session, inputs);
}

Result<bool> is_npy(const Path& path) {
  INK_TRY(const auto file, MappedFile::open(path));
  return as_text(file->bytes().first(std::min<std::size_t>(file->bytes().size(), 6))) ==
         "\x93NUMPY";
}

// A picture as the model takes it: scaled to its input's size, and its pixels as the metadata say.
Result<NamedTensor> read_picture(const Model& model, const std::string& name, const Path& path) {
  if (!model.metadata.count("input_mean"))
    return fail(ErrorCode::kInvalidArgument, path.string(),
                ": not a .npy file, and the model does not say how it takes pictures");
  INK_TRY(const PixelScaling scaling, scaling_of(model, {}));
  INK_TRY(const PictureInput input, picture_input(model.graph, scaling));
  if (name != input.name)
    return fail(ErrorCode::kInvalidArgument, "the model takes a picture as '", input.name,
                "', given '", name, "'");
  INK_TRY(const Bytes bytes, read_file(path, kPictureFileBytesMax));
  auto picture = decode_picture(bytes, input.size.channels);
  if (!picture) return fail_within(std::move(picture).error(), path.string());
  const Picture fitted = picture->size == input.size
                             ? std::move(*picture)
                             : resize(*picture, input.size.height, input.size.width);
  NamedTensor tensor{name, Tensor::zeros(model.graph.spec(model.graph.inputs()[0]))};
  input.fill(fitted.pixels, tensor.tensor.mutable_data<float>());
  return tensor;
}

// A model file's inputs may be pictures.
Result<std::vector<NamedTensor>> run_model_file(const RunSpec& spec) {
  INK_TRY(const Model model, open_model(spec.model));
  std::vector<NamedTensor> inputs;
  for (const std::string& text : spec.inputs) {
    const std::size_t equals = text.find('=');
    const bool named = equals != std::string::npos && equals > 0 && equals + 1 < text.size();
    const Path path = named ? text.substr(equals + 1) : "";
    bool picture = false;
    if (named) {
      INK_TRY(const bool npy, is_npy(path));
      picture = !npy;
    }
    if (picture) {
      INK_TRY(inputs.emplace_back(), read_picture(model, text.substr(0, equals), path));
    } else {
      INK_TRY(inputs.emplace_back(), read_named(text, "--input"));
    }
  }
  return run_model(spec, model, inputs);
}

Result<std::vector<NamedTensor>> read_arrays(const RunSpec& spec) {
  std::vector<NamedTensor> inputs;
  for (const std::string& text : spec.inputs) {
    INK_TRY(inputs.emplace_back(), read_named(text, "--input"));
  }
  return inputs;
}

// In the shapes of what is given.
Result<std::vector<NamedTensor>> run_tflite(const RunSpec& spec, ByteSpan bytes) {
  INK_TRY(const auto inputs, read_arrays(spec));
  std::map<std::string, Shape> shapes;
  for (const NamedTensor& input : inputs) shapes[input.name] = input.tensor.shape();
  INK_TRY(const Model model, tflite_import::import_model(bytes, shapes));
  return run_model(spec, model, inputs);
}

Result<std::vector<NamedTensor>> run_onnx(const RunSpec& spec, ByteSpan bytes) {
  INK_TRY(const auto inputs, read_arrays(spec));
  INK_TRY(const KernelChoice kernels, kernel_choice(spec.tune));
  INK_TRY(auto program,
          onnx_import::Program::open(bytes, {.threads = spec.threads, .kernels = &kernels}));
  return program.run(inputs);
}

// An output's name as a file name: whatever might lead out of the folder becomes '_'.
std::string file_name(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/' || c == '\\' || c == '\0'; }, '_');
  if (name.empty() || name[0] == '.') name.insert(0, "_");
  return name.substr(0, 200) + ".npy";
}

Result<void> run(const RunSpec& spec, Console& console) {
  INK_TRY(const auto file, MappedFile::open(spec.model));
  auto outputs = is_model_file(file->bytes())              ? run_model_file(spec)
                 : tflite_import::is_tflite(file->bytes()) ? run_tflite(spec, file->bytes())
                                                           : run_onnx(spec, file->bytes());
  if (!outputs) return fail_within(std::move(outputs).error(), spec.model.string());
  for (NamedTensor& output : *outputs) {
    INK_TRY(const Bytes bytes, encode_npy(output.tensor.view()));
    const Path path = spec.output_dir / file_name(output.name);
    INK_CHECK_OK(write_file(path, bytes));
    console.out() << output.name << "  " << output.tensor.spec() << "  " << path.string() << "\n";
  }
  return {};
}

}  // namespace

void add_run(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<RunSpec>();
  CLI::App* app = root.add_subcommand("run", "Run a model on arrays");
  app->add_option("model", spec->model, "Model file, ONNX or TensorFlow Lite model")
      ->type_name("MODEL")
      ->required();
  app->add_option(
         "--input", spec->inputs,
         "An input, NAME=FILE.npy, or a JPEG or PNG picture for a model file that says how "
         "it takes them; once for each")
      ->type_name("INPUT");
  app->add_option("--output-dir", spec->output_dir, "Folder for one .npy file per output")
      ->type_name("DIR")
      ->required();
  app->add_option("--threads", spec->threads, "Threads to run on")
      ->type_name("N=1")
      ->check(CLI::Range(1, 64));
  add_tune_options(*app, spec->tune);
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return run(*spec, console); }; });
}

}  // namespace inkling::tools
