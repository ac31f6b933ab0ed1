// inkling profile: where a model's time goes, as a table by op and as a trace for Perfetto or
// chrome://tracing
// (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU).

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/kernel_cache.h"
#include "tools/model_source.h"

namespace inkling::tools {
namespace {

struct ProfileSpec {
  ModelSource source;
  Path trace;
  TuneOptions tune;
  unsigned threads = 1;
  std::size_t runs = 20;
};

// The fastest run's time of each step, in nanoseconds: what the step costs when nothing disturbs
// it.
std::vector<std::int64_t> step_times(Session& session, std::size_t runs) {
  std::vector<std::int64_t> ends(session.steps().size()), best(ends.size(), INT64_MAX);
  for (std::size_t r = 0; r < runs; ++r) {
    session.run(ends);
    for (std::size_t i = 0; i < ends.size(); ++i)
      best[i] = std::min(best[i], ends[i] - (i == 0 ? 0 : ends[i - 1]));
  }
  return best;
}

std::string trace_of(const Session& session, std::span<const std::int64_t> times) {
  nlohmann::ordered_json events = nlohmann::ordered_json::array();
  std::int64_t at = 0;
  const auto steps = session.steps();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    events.push_back(
        {{"name", op_name(steps[i].op)},
         {"ph", "X"},
         {"pid", 1},
         {"tid", 1},
         {"ts", static_cast<double>(at) / 1e3},
         {"dur", static_cast<double>(times[i]) / 1e3},
         {"args", {{"kernel", steps[i].kernel}, {"label", std::string(steps[i].label)}}}});
    at += times[i];
  }
  return nlohmann::ordered_json{{"traceEvents", events}, {"displayTimeUnit", "ms"}}.dump() + "\n";
}

void print_table(const Session& session, std::span<const std::int64_t> times, std::ostream& out) {
  struct Row {
    std::int64_t time = 0;
    std::size_t steps = 0;
  };
  std::map<std::string, Row> rows;
  std::int64_t total = 0;
  const auto steps = session.steps();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    Row& row = rows[concat(op_name(steps[i].op), "  ", steps[i].kernel)];
    row.time += times[i];
    ++row.steps;
    total += times[i];
  }
  std::vector<std::pair<std::string, Row>> sorted(rows.begin(), rows.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.second.time > b.second.time; });
  std::ostringstream text;
  text << std::fixed << std::setprecision(3);
  for (const auto& [name, row] : sorted) {
    text << static_cast<double>(row.time) / 1e6 << " ms  "
         << 100.0 * static_cast<double>(row.time) /
                static_cast<double>(std::max<std::int64_t>(total, 1))
         << " %  " << row.steps << " steps  " << name << "\n";
  }
  text << static_cast<double>(total) / 1e6 << " ms in all\n";
  out << text.str();
}

Result<void> profile(const ProfileSpec& spec, Console& console) {
  INK_TRY(const Model model, load_model(spec.source));
  INK_TRY(const KernelChoice kernels, kernel_choice(spec.tune));
  INK_TRY(Session session,
          Session::create(model.graph, {.threads = spec.threads, .kernels = &kernels}));
  INK_CHECK_OK(fill_inputs(session));
  const auto times = step_times(session, spec.runs);
  print_table(session, times, console.out());
  if (spec.trace.empty()) return {};
  return write_file(spec.trace, as_bytes(trace_of(session, times)));
}

}  // namespace

void add_profile(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<ProfileSpec>();
  CLI::App* app = root.add_subcommand("profile", "Show where a model's time goes");
  add_model_options(*app, spec->source, "Model file or ONNX model");
  app->add_option("--trace", spec->trace, "Trace for Perfetto to write")->type_name("OUT.json");
  app->add_option("--threads", spec->threads, "Threads to run on")
      ->type_name("N=1")
      ->check(CLI::Range(1, 64));
  add_tune_options(*app, spec->tune);
  app->add_option("--runs", spec->runs, "Of how many runs the fastest counts, step by step")
      ->type_name("R=20")
      ->check(CLI::Range(1, 1000000));
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return profile(*spec, console); }; });
}

}  // namespace inkling::tools
