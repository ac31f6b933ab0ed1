// inkling run: a model on arrays from .npy files.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "convert/tflite/import.h"
#include "tools/command.h"
#include "tools/console.h"
#include "tools/model_source.h"
#include "tools/npy.h"

namespace inkling::tools {
namespace {

struct RunSpec {
  Path model, output_dir;
  std::vector<std::string> inputs;
  unsigned threads = 1;
};

Result<std::vector<NamedTensor>> run_model(const RunSpec& spec, const Model& model,
                                           std::span<const NamedTensor> inputs) {
  INK_TRY(Session session, Session::create(model.graph, {.threads = spec.threads}));
  if (inputs.size() != model.graph.inputs().size())
    return fail(ErrorCode::kInvalidArgument, inputs.size(), " inputs given, the model takes ",
                model.graph.inputs().size());
  return run_named(session, inputs);
}

Result<std::vector<NamedTensor>> run_model_file(const RunSpec& spec,
                                                std::span<const NamedTensor> inputs) {
  INK_TRY(const Model model, open_model(spec.model));
  return run_model(spec, model, inputs);
}

// In the shapes of what is given.
Result<std::vector<NamedTensor>> run_tflite(const RunSpec& spec, ByteSpan bytes,
                                            std::span<const NamedTensor> inputs) {
  std::map<std::string, Shape> shapes;
  for (const NamedTensor& input : inputs) shapes[input.name] = input.tensor.shape();
  INK_TRY(const Model model, tflite_import::import_model(bytes, shapes));
  return run_model(spec, model, inputs);
}

Result<std::vector<NamedTensor>> run_onnx(const RunSpec& spec, ByteSpan bytes,
                                          std::span<const NamedTensor> inputs) {
  INK_TRY(auto program, onnx_import::Program::open(bytes, {.threads = spec.threads}));
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
  std::vector<NamedTensor> inputs;
  for (const std::string& text : spec.inputs) {
    INK_TRY(inputs.emplace_back(), read_named(text, "--input"));
  }
  INK_TRY(const auto file, MappedFile::open(spec.model));
  auto outputs = tflite_import::is_tflite(file->bytes()) ? run_tflite(spec, file->bytes(), inputs)
                 : is_model_file(file->bytes())          ? run_model_file(spec, inputs)
                                                         : run_onnx(spec, file->bytes(), inputs);
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
  app->add_option("--input", spec->inputs, "An input, NAME=FILE.npy; once for each")
      ->type_name("INPUT");
  app->add_option("--output-dir", spec->output_dir, "Folder for one .npy file per output")
      ->type_name("DIR")
      ->required();
  app->add_option("--threads", spec->threads, "Threads to run on")
      ->type_name("N=1")
      ->check(CLI::Range(1, 64));
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return run(*spec, console); }; });
}

}  // namespace inkling::tools
