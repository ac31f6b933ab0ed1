// inkling bench MODEL: how long a model takes, and how much memory.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/kernel_cache.h"
#include "tools/measure.h"
#include "tools/model_source.h"

namespace inkling::tools {
namespace {

struct BenchSpec {
  ModelSource source;
  TuneOptions tune;
  unsigned threads = 1;
  std::size_t runs = 50;
  bool json = false;
};

constexpr std::size_t kWarmUpRuns = 5;

double milliseconds_since(SteadyTime start) { return 1000 * seconds_since(start); }

double megabytes(std::size_t bytes) { return static_cast<double>(bytes) / 1e6; }

Result<void> bench_model(const BenchSpec& spec, Console& console) {
  const auto start = steady_now();
  INK_TRY(const Model model, load_model(spec.source));
  const double load_ms = milliseconds_since(start);
  INK_TRY(const KernelChoice kernels, kernel_choice(spec.tune));
  INK_TRY(Session session,
          Session::create(model.graph, {.threads = spec.threads, .kernels = &kernels}));
  const double plan_ms = milliseconds_since(start) - load_ms;
  INK_CHECK_OK(fill_inputs(session));
  const auto first = steady_now();
  session.run();
  const double first_run_ms = milliseconds_since(first);
  for (std::size_t i = 1; i < kWarmUpRuns; ++i) session.run();
  std::vector<double> times;
  for (std::size_t i = 0; i < spec.runs; ++i) {
    const auto begin = steady_now();
    session.run();
    times.push_back(milliseconds_since(begin));
  }
  std::sort(times.begin(), times.end());
  const nlohmann::ordered_json result{
      {"schema_version", 1},
      {"threads", spec.threads},
      {"runs", spec.runs},
      {"median_ms", times[times.size() / 2]},
      {"p90_ms", times[std::min(times.size() - 1, times.size() * 9 / 10)]},
      {"min_ms", times[0]},
      {"load_ms", load_ms},
      {"plan_ms", plan_ms},
      {"first_run_ms", first_run_ms},
      {"peak_rss_mb", peak_rss_mb()},
      {"arena_mb", megabytes(session.arena_bytes())},
      {"packed_mb", megabytes(session.packed_bytes())}};
  if (spec.json) {
    console.out() << result.dump(2) << "\n";
    return {};
  }
  for (const auto& [key, value] : result.items()) {
    if (key != "schema_version") console.out() << key << "  " << value.dump() << "\n";
  }
  return {};
}

}  // namespace

void add_bench_model(CLI::App& bench, Action& chosen) {
  auto spec = std::make_shared<BenchSpec>();
  add_model_options(bench, spec->source, "Model file or ONNX model");
  bench.get_option("model")->required(false);  // not beside a subcommand
  bench.add_option("--threads", spec->threads, "Threads to run on")
      ->type_name("N=1")
      ->check(CLI::Range(1, 64));
  bench.add_option("--runs", spec->runs, "How many runs to time")
      ->type_name("R=50")
      ->check(CLI::Range(1, 1000000));
  add_tune_options(bench, spec->tune);
  bench.add_flag("--json", spec->json, "Print one JSON object");
  bench.callback([&bench, &chosen, spec] {
    if (!bench.get_subcommands().empty()) return;
    if (spec->source.model.empty()) throw CLI::RequiredError("MODEL");
    chosen = [spec](Console& console) { return bench_model(*spec, console); };
  });
}

}  // namespace inkling::tools
