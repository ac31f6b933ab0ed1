// inkling compare: two models on the same inputs, value by value. Values meet by name: outputs, and
// the labels that intermediate results keep from the model that they came from.

#include <CLI/CLI.hpp>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/model_source.h"

namespace inkling::tools {
namespace {

struct CompareSpec {
  Path first, second;
  std::vector<std::string> shapes, values;
  double tolerance = 1e-3;
  bool json = false;
};

// The model run without passes, every labelled f32 result being an output, too.
Result<Session> open_layers(const ModelSource& source) {
  INK_TRY(Model model, load_model(source));
  Graph& g = model.graph;
  for (std::size_t v = 0; v < g.values().size(); ++v) {
    const Value& value = g.values()[v];
    const bool computed = value.kind == ValueKind::kResult && value.spec.dtype == DType::kF32;
    if (computed && !value.name.empty() && g.find_output(value.name) == kNoValue)
      g.output(value.name, ValueId{static_cast<std::uint32_t>(v)});
  }
  INK_TRY(Session session, Session::create(g, {.optimize = false}));
  INK_CHECK_OK(fill_inputs(session));
  session.run();
  return session;
}

// max |a - b| / max(1, max |b|)
double difference(const TensorView& a, const TensorView& b) {
  double worst = 0, scale = 1;
  for (std::int64_t i = 0; i < a.elements(); ++i) {
    const auto x = static_cast<double>(a.as<float>()[i]), y = static_cast<double>(b.as<float>()[i]);
    if (std::isnan(x) != std::isnan(y)) return std::numeric_limits<double>::infinity();
    if (x == y || std::isnan(x)) continue;
    worst = std::max(worst, std::abs(x - y));
    if (std::isfinite(y)) scale = std::max(scale, std::abs(y));
  }
  return worst / scale;
}

Result<void> compare(const CompareSpec& spec, Console& console) {
  INK_TRY(Session a, open_layers({spec.first, spec.shapes, spec.values}));
  const auto magic = read_file(spec.second);
  if (!magic) return tl::unexpected<Error>(magic.error());
  const bool fixed = is_model_file(*magic);
  INK_TRY(Session b, open_layers({spec.second, fixed ? std::vector<std::string>{} : spec.shapes,
                                  fixed ? std::vector<std::string>{} : spec.values}));
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  std::string departs;
  std::size_t compared = 0;
  for (const NamedValue& value : a.graph().outputs()) {
    const auto other = b.output(value.name);
    INK_TRY(const TensorView own, a.output(value.name));
    if (!other || other->spec != own.spec || own.spec.dtype != DType::kF32) continue;
    ++compared;
    const double error = difference(own, *other);
    rows.push_back({{"name", value.name}, {"spec", concat(own.spec)}, {"difference", error}});
    if (!(error <= spec.tolerance) && departs.empty()) departs = value.name;
    if (!spec.json) console.out() << error << "  " << value.name << "  " << own.spec << "\n";
  }
  if (spec.json) {
    console.out() << nlohmann::ordered_json{{"schema_version", 1},
                                            {"compared", compared},
                                            {"first_departure", departs},
                                            {"values", rows}}
                         .dump(2)
                  << "\n";
  }
  if (compared == 0)
    return fail(ErrorCode::kInvalidArgument, "the models have no value of one name and shape");
  if (!departs.empty())
    return fail(ErrorCode::kVerification, "'", departs,
                "' is the first value that differs by more than ", spec.tolerance);
  return {};
}

}  // namespace

void add_compare(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<CompareSpec>();
  CLI::App* app =
      root.add_subcommand("compare", "Run two models on the same inputs, layer by layer");
  app->add_option("first", spec->first, "Model file or ONNX model")->type_name("A")->required();
  app->add_option("second", spec->second, "What it should agree with")->type_name("B")->required();
  app->add_option("--shape", spec->shapes, "Concrete shape of an input of ONNX models")
      ->type_name("SHAPE");
  app->add_option("--value", spec->values, "Value of an input of ONNX models, NAME=FILE.npy")
      ->type_name("VALUE");
  app->add_option("--tolerance", spec->tolerance,
                  "Largest difference, as a share of the largest value")
      ->type_name("SHARE=0.001");
  app->add_flag("--json", spec->json, "Print one JSON object");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return compare(*spec, console); }; });
}

}  // namespace inkling::tools
