// inkling convert: a foreign model becomes a model file.

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>

#include "convert/onnx/import.h"
#include "tools/command.h"
#include "tools/console.h"

namespace inkling::tools {
namespace {

struct ConvertSpec {
  Path model, out;
  std::vector<std::string> shapes;
  bool overwrite = false;
};

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

Result<void> convert(const ConvertSpec& spec, Console& console) {
  if (!spec.overwrite && std::filesystem::exists(spec.out)) {
    return fail(ErrorCode::kFailedPrecondition, spec.out.string(),
                ": already there; overwrite with --force");
  }
  onnx_import::Options options;
  for (const std::string& text : spec.shapes) {
    INK_TRY(auto named, parse_shape(text));
    options.input_shapes.insert(std::move(named));
  }
  INK_TRY(const Bytes bytes, read_file(spec.model));
  auto model = onnx_import::import_model(bytes, options);
  if (!model) return fail_within(std::move(model).error(), spec.model.string());
  INK_CHECK_OK(save_model(*model, spec.out));
  console.out() << spec.out.string() << ": " << model->graph.nodes().size() << " nodes from "
                << model->metadata["source"] << "\n";
  return {};
}

}  // namespace

void add_convert(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<ConvertSpec>();
  CLI::App* app = root.add_subcommand("convert", "Turn an ONNX model into a model file");
  app->add_option("model", spec->model, "ONNX model")->type_name("MODEL")->required();
  app->add_option("-o,--out", spec->out, "Model file to write")->type_name("FILE.ink")->required();
  app->add_option("--shape", spec->shapes,
                  "Concrete shape of an input, NAME=SIZE,SIZE,...; may be repeated")
      ->type_name("SHAPE");
  app->add_flag("--force", spec->overwrite, "Overwrite the model file if it is there");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return convert(*spec, console); }; });
}

}  // namespace inkling::tools
