// inkling export: a model file becomes an ONNX model.

#include <CLI/CLI.hpp>
#include <memory>

#include "convert/onnx/export.h"
#include "tools/command.h"
#include "tools/console.h"
#include "tools/model_source.h"

namespace inkling::tools {
namespace {

struct ExportSpec {
  ModelSource source;
  Path out;
  bool overwrite = false;
};

Result<void> export_to(const ExportSpec& spec, Console& console) {
  if (!spec.overwrite && std::filesystem::exists(spec.out)) {
    return fail(ErrorCode::kFailedPrecondition, spec.out.string(),
                ": already there; overwrite with --force");
  }
  INK_TRY(const Model model, load_model(spec.source));
  const auto bytes = onnx_export::export_model(model);
  if (!bytes) return fail_within(bytes.error(), spec.source.model.string());
  INK_CHECK_OK(write_file(spec.out, *bytes));
  console.out() << spec.out.string() << ": " << model.graph.nodes().size() << " nodes as ONNX\n";
  return {};
}

}  // namespace

void add_export(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<ExportSpec>();
  CLI::App* app = root.add_subcommand("export", "Turn a model file into an ONNX model");
  add_model_options(*app, spec->source, "Model file");
  app->add_option("-o,--out", spec->out, "ONNX model to write")->type_name("FILE.onnx")->required();
  app->add_flag("--force", spec->overwrite, "Overwrite the ONNX model if it is there");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return export_to(*spec, console); }; });
}

}  // namespace inkling::tools
