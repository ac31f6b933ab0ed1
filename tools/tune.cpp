// inkling tune: measures which kernels are fastest for a model on this machine.

#include <CLI/CLI.hpp>
#include <iomanip>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/kernel_cache.h"
#include "tools/model_source.h"

namespace inkling::tools {

void add_tune_options(CLI::App& app, TuneOptions& options) {
  app.add_option("--tune", options.file, "Run the kernels that `inkling tune` found fastest")
      ->type_name("FILE.json")
      ->envname("INK_TUNE");
  app.add_flag("--no-tune", options.off,
               "Run the cost model's kernels, also where INK_TUNE is set");
}

namespace {

struct TuneSpec {
  ModelSource source;
  Path out;
  SearchOptions search;
  bool json = false;
};

nlohmann::ordered_json as_json(const KernelSearch& found, const Path& out) {
  nlohmann::ordered_json nodes = nlohmann::ordered_json::array();
  for (const KernelSearch::Node& node : found.nodes) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const auto& row : node.rows)
      rows.push_back({{"kernel", row.name}, {"microseconds", row.seconds * 1e6}});
    nodes.push_back({{"node", node.key},
                     {"steps", node.steps},
                     {"kernel", node.rows[node.chosen].name},
                     {"measured", rows}});
  }
  return {{"schema_version", 1},
          {"cpu", cpu_name()},
          {"default_ms", found.default_seconds * 1e3},
          {"tuned_ms", found.chosen_seconds * 1e3},
          {"file", out.string()},
          {"nodes", nodes}};
}

void print(const KernelSearch& found, const Path& path, std::ostream& out) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1);
  for (const KernelSearch::Node& node : found.nodes) {
    text << node.key << ", " << node.steps << (node.steps == 1 ? " step\n" : " steps\n");
    for (std::size_t r = 0; r < node.rows.size(); ++r)
      text << (r == node.chosen ? "  * " : "    ") << node.rows[r].seconds * 1e6 << " us  "
           << node.rows[r].name << (r == 0 ? "  (default)\n" : "\n");
  }
  text << std::setprecision(4);
  if (found.nodes.empty()) {
    text << "no node of the model has a choice of kernels\n";
  } else {
    text << found.choice.rows().size() << " of " << found.nodes.size()
         << " kinds of nodes run another kernel than the default: " << found.chosen_seconds * 1e3
         << " ms a run, " << found.default_seconds * 1e3 << " before\n";
  }
  text << path.string() << "\n";
  out << text.str();
}

Result<void> tune(const TuneSpec& spec, Console& console) {
  const Path path = spec.out.empty() ? default_kernel_cache() : spec.out;
  if (std::filesystem::exists(path)) {  // before minutes of measuring
    INK_CHECK_OK(read_kernel_cache(path));
  }
  INK_TRY(const Model model, load_model(spec.source));
  INK_TRY(const KernelSearch found, search_kernels(model.graph, spec.search));
  INK_CHECK_OK(update_kernel_cache(path, found));
  if (spec.json) {
    console.out() << as_json(found, path).dump(2) << "\n";
  } else {
    print(found, path, console.out());
  }
  return {};
}

}  // namespace

void add_tune(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<TuneSpec>();
  CLI::App* app =
      root.add_subcommand("tune", "Find the fastest kernels for a model on this machine");
  add_model_options(*app, spec->source, "Model file, ONNX or TensorFlow Lite model");
  app->add_option("-o,--out", spec->out,
                  "File for bench, profile and run to take with --tune; default: "
                  "inkling/kernels.json in the user's cache")
      ->type_name("FILE.json");
  app->add_option("--threads", spec->search.threads, "Threads to run on")
      ->type_name("N=1")
      ->check(CLI::Range(1, 64));
  app->add_option("--seconds", spec->search.seconds_max, "How long to measure")
      ->type_name("S=10")
      ->check(CLI::Range(0.01, 3600.0));
  app->add_option("--rows", spec->search.rows_max, "How many kernels to try for a node")
      ->type_name("N=4")
      ->check(CLI::Range(2, 100));
  app->add_flag("--json", spec->json, "Print one JSON object");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return tune(*spec, console); }; });
}

}  // namespace inkling::tools
