// inkling convert: a foreign model becomes a model file.

#include <CLI/CLI.hpp>
#include <memory>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/model_source.h"

namespace inkling::tools {
namespace {

struct ConvertSpec {
  ModelSource source;
  Path out;
  bool overwrite = false;
};

Result<void> convert(const ConvertSpec& spec, Console& console) {
  if (!spec.overwrite && std::filesystem::exists(spec.out)) {
    return fail(ErrorCode::kFailedPrecondition, spec.out.string(),
                ": already there; overwrite with --force");
  }
  INK_TRY(Model model, load_model(spec.source));
  INK_CHECK_OK(save_model(model, spec.out));
  console.out() << spec.out.string() << ": " << model.graph.nodes().size() << " nodes from "
                << model.metadata["source"] << "\n";
  return {};
}

}  // namespace

void add_convert(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<ConvertSpec>();
  CLI::App* app =
      root.add_subcommand("convert", "Turn an ONNX or TensorFlow Lite model into a model file");
  add_model_options(*app, spec->source, "ONNX or TensorFlow Lite model");
  app->add_option("-o,--out", spec->out, "Model file to write")->type_name("FILE.ink")->required();
  app->add_flag("--force", spec->overwrite, "Overwrite the model file if it is there");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return convert(*spec, console); }; });
}

}  // namespace inkling::tools
