// inkling inspect: what a model holds, and how it would run here.

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "runtime/op.h"
#include "runtime/passes/passes.h"
#include "runtime/session.h"
#include "tools/command.h"
#include "tools/console.h"
#include "tools/graph_picture.h"
#include "tools/model_source.h"

namespace inkling::tools {
namespace {

struct InspectSpec {
  ModelSource source;
  Path graph;
  bool json = false, passes = false;
};

nlohmann::ordered_json describe(const Model& model, const Session& session) {
  using Json = nlohmann::ordered_json;
  const auto value = [&](ValueId id, const std::string& name) {
    return Json{{"name", name}, {"spec", concat(model.graph.spec(id))}};
  };
  Json inputs = Json::array(), outputs = Json::array(), variables = Json::array(),
       steps = Json::array();
  for (const ValueId id : model.graph.inputs())
    inputs.push_back(value(id, model.graph.value(id).name));
  for (const NamedValue& output : model.graph.outputs())
    outputs.push_back(value(output.value, output.name));
  for (const ValueId id : model.graph.variables())
    variables.push_back(value(id, model.graph.value(id).name));
  for (const auto& step : session.steps()) {
    steps.push_back(
        {{"op", op_name(step.op)}, {"kernel", step.kernel}, {"label", std::string(step.label)}});
  }
  return {{"schema_version", 1},
          {"metadata", model.metadata},
          {"inputs", inputs},
          {"outputs", outputs},
          {"variables", variables},
          {"nodes", model.graph.nodes().size()},
          {"steps", steps},
          {"arena_bytes", session.arena_bytes()},
          {"arena_lower_bound_bytes", session.arena_lower_bound()},
          {"packed_bytes", session.packed_bytes()},
          {"variable_bytes", session.variable_bytes()}};
}

void print(const nlohmann::ordered_json& d, std::ostream& out) {
  for (const char* kind : {"inputs", "outputs", "variables"}) {
    for (const auto& v : d[kind]) {
      out << kind << "  " << v["name"].get<std::string>() << "  " << v["spec"].get<std::string>()
          << "\n";
    }
  }
  for (const auto& [key, text] : d["metadata"].items())
    out << "metadata  " << key << "  " << text.get<std::string>() << "\n";
  out << "memory  arena " << d["arena_bytes"] << " bytes (lower bound "
      << d["arena_lower_bound_bytes"] << "), packed weights " << d["packed_bytes"] << ", variables "
      << d["variable_bytes"] << "\n";
  out << "plan  " << d["nodes"] << " nodes run as " << d["steps"].size() << " steps\n";
  std::size_t i = 0;
  for (const auto& step : d["steps"]) {
    out << "  " << i++ << "  " << step["op"].get<std::string>() << "  "
        << step["kernel"].get<std::string>() << "  " << step["label"].get<std::string>() << "\n";
  }
}

using Counts = std::map<std::string, std::int64_t>;

Counts count_ops(const Graph& graph) {
  Counts counts;
  for (const Node& node : graph.nodes()) ++counts[std::string(op_name(node.op))];
  return counts;
}

// What each pass does to the graph: how many nodes it leaves, and of which ops there are more or
// fewer.
Result<nlohmann::ordered_json> follow_passes(const Graph& graph) {
  auto rows = nlohmann::ordered_json::array();
  rows.push_back({{"pass", "as given"}, {"nodes", graph.nodes().size()}, {"changed", Counts()}});
  Graph g = graph;
  for (const Pass& pass : passes()) {
    Counts changed = count_ops(g);
    for (auto& [op, count] : changed) count = -count;
    INK_TRY(g, pass.run(g));
    for (const auto& [op, count] : count_ops(g)) changed[op] += count;
    std::erase_if(changed, [](const auto& entry) { return entry.second == 0; });
    rows.push_back({{"pass", pass.name}, {"nodes", g.nodes().size()}, {"changed", changed}});
  }
  return rows;
}

void print_passes(const nlohmann::ordered_json& rows, std::ostream& out) {
  for (const auto& row : rows) {
    out << row["pass"].get<std::string>() << ": " << row["nodes"] << " nodes";
    for (const auto& [op, count] : row["changed"].items())
      out << (count > 0 ? ", +" : ", ") << count << " " << op;
    out << "\n";
  }
}

Result<void> write_picture(const InspectSpec& spec, const Graph& graph) {
  const Path extension = spec.graph.extension();
  if (extension != ".svg" && extension != ".html")
    return fail(ErrorCode::kInvalidArgument, spec.graph.string(), ": expected .svg or .html");
  INK_TRY(const std::string svg, draw_svg(graph));
  const std::string text =
      extension == ".svg" ? svg : as_html(svg, spec.source.model.filename().string());
  return write_file(spec.graph, as_bytes(text));
}

Result<void> inspect(const InspectSpec& spec, Console& console) {
  INK_TRY(const Model model, load_model(spec.source));
  if (spec.passes) {
    INK_TRY(const auto rows, follow_passes(model.graph));
    if (spec.json) {
      console.out() << rows.dump(2) << "\n";
    } else {
      print_passes(rows, console.out());
    }
    return {};
  }
  INK_TRY(const Session session, Session::create(model.graph));
  if (!spec.graph.empty()) INK_CHECK_OK(write_picture(spec, session.graph()));
  const auto description = describe(model, session);
  if (spec.json) {
    console.out() << description.dump(2) << "\n";
  } else {
    print(description, console.out());
  }
  return {};
}

}  // namespace

void add_inspect(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<InspectSpec>();
  CLI::App* app = root.add_subcommand("inspect", "Show what a model holds and how it would run");
  add_model_options(*app, spec->source, "Model file or ONNX model");
  app->add_flag("--passes", spec->passes, "Show what each pass does to the graph instead");
  app->add_option("--graph", spec->graph, "Draw the graph as it would run")
      ->type_name("FILE.svg|FILE.html");
  app->add_flag("--json", spec->json, "Print one JSON object");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return inspect(*spec, console); }; });
}

}  // namespace inkling::tools
