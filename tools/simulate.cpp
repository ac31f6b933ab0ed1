// inkling simulate: federated learning over a population of simulated devices.

#include <CLI/CLI.hpp>
#include <memory>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/measure.h"
#include "tools/report.h"
#include "tools/simulation/chaos.h"
#include "tools/simulation/mpi_ranks.h"
#include "tools/simulation/run.h"
#include "tools/simulation/sweep.h"

namespace inkling::tools {
namespace {

struct SimulateSpec {
  Path experiment, out = "build/simulation";
  std::vector<std::string> settings, sweeps;
  bool resume = false;
  bool chaos = false;
  std::string seeds = "0..2000";
};

std::string with_evaluation(const RoundRecord& round, std::uint64_t rounds) {
  std::string line = concat("round ", round.round, " of ", rounds, ": ", round.reported,
                            " clients, loss ", format_number(round.loss));
  if (round.evaluation) line += concat(", accuracy ", format_number(round.evaluation->accuracy));
  return line;
}

ReportSection section_of(const std::string& name, const RunResult& run) {
  ReportSection section{.heading = name, .text = {}, .blocks = {}};
  ChartSeries accuracy{"accuracy", {}, {}}, loss{"training loss", {}, {}},
      by_time{"accuracy", {}, {}};
  for (const RoundRecord& round : run.rounds) {
    loss.x.push_back(static_cast<double>(round.round));
    loss.y.push_back(round.loss);
    if (!round.evaluation) continue;
    accuracy.x.push_back(static_cast<double>(round.round));
    accuracy.y.push_back(round.evaluation->accuracy);
    by_time.x.push_back(round.virtual_s / 3600);
    by_time.y.push_back(round.evaluation->accuracy);
  }
  section.blocks.push_back(ReportTable{
      "Result",
      {"accuracy", "NLL", "clients a second", "peak memory, MB", "model SHA-256"},
      {{format_number(run.final.accuracy), format_number(run.final.nll),
        format_number(run.clients_per_second), format_number(run.peak_rss_mb), run.model_sha256}}});
  if (!accuracy.x.empty())
    section.blocks.push_back(ReportChart{"Accuracy by round", "round", "accuracy", {accuracy}});
  if (!by_time.x.empty() && by_time.x.back() > 0)
    section.blocks.push_back(
        ReportChart{"Accuracy by time", "virtual hours", "accuracy", {by_time}});
  if (!loss.x.empty())
    section.blocks.push_back(ReportChart{"Training loss by round", "round", "loss", {loss}});
  return section;
}

// The runs of a sweep in one chart, as far as they stay distinguishable.
void add_comparison(Report& report, std::span<const std::string> names,
                    std::span<const RunResult> runs) {
  ReportSection section{.heading = "Comparison", .text = {}, .blocks = {}};
  ReportTable table{"Runs", {"run", "accuracy", "NLL"}, {}};
  ReportChart chart{"Accuracy by round", "round", "accuracy", {}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    table.rows.push_back(
        {names[i], format_number(runs[i].final.accuracy), format_number(runs[i].final.nll)});
    ChartSeries series{names[i], {}, {}};
    for (const RoundRecord& round : runs[i].rounds) {
      if (!round.evaluation) continue;
      series.x.push_back(static_cast<double>(round.round));
      series.y.push_back(round.evaluation->accuracy);
    }
    if (chart.series.size() < kChartSeriesMax && !series.x.empty())
      chart.series.push_back(std::move(series));
  }
  section.blocks.emplace_back(std::move(table));
  if (!chart.series.empty()) section.blocks.emplace_back(std::move(chart));
  report.sections.push_back(std::move(section));
}

Result<void> simulate(const SimulateSpec& spec, Console& console) {
  if (spec.chaos) return simulate_chaos(spec.seeds, console);
  if (spec.experiment.empty())
    return fail(ErrorCode::kInvalidArgument, "simulate: no EXPERIMENT.toml, and no --chaos");
  INK_TRY(std::unique_ptr<Ranks> ranks, join_mpi_ranks());
  const bool is_silent = ranks && ranks->rank() > 0;
  INK_TRY(const std::vector<Variant> variants, expand_sweep(spec.sweeps));
  std::vector<std::string> names;
  std::vector<RunResult> runs;
  Report report{.title = concat("Simulation ", spec.experiment.filename().string()),
                .text = spec.experiment.string(),
                .sections = {}};
  for (const Variant& variant : variants) {
    INK_TRY(TomlReader reader, TomlReader::open(spec.experiment));
    for (const std::string& setting : spec.settings) INK_CHECK_OK(reader.set(setting));
    for (const std::string& setting : variant.settings) INK_CHECK_OK(reader.set(setting));
    INK_TRY(const Experiment experiment, read_experiment(reader));
    INK_TRY(const auto data, load_experiment_data(experiment.data, experiment.simulation.seed));
    const Path out = variant.name.empty() ? spec.out : spec.out / variant.name;
    const auto start = steady_now();
    const std::uint64_t rounds = experiment.simulation.rounds;
    INK_TRY(RunResult run,
            run_experiment({experiment, reader.text(), out, spec.resume, ranks.get()}, *data,
                           [&](const RoundRecord& round) {
                             if (is_silent) return;
                             const double elapsed = seconds_since(start);
                             const double left = elapsed / static_cast<double>(round.round) *
                                                 static_cast<double>(rounds - round.round);
                             console.progress(concat(with_evaluation(round, rounds), ", ",
                                                     format_number(left), " s left"));
                           }));
    if (is_silent) continue;
    console.progress("");
    console.out() << (variant.name.empty() ? "simulation" : variant.name) << ": accuracy "
                  << format_number(run.final.accuracy) << ", "
                  << format_number(run.clients_per_second) << " clients/s, model "
                  << run.model_sha256.substr(0, 16) << std::endl;
    names.push_back(variant.name.empty() ? "Run" : variant.name);
    report.sections.push_back(section_of(names.back(), run));
    runs.push_back(std::move(run));
  }
  part_mpi_ranks(std::move(ranks));
  if (is_silent) return {};
  if (runs.size() > 1) add_comparison(report, names, runs);
  INK_TRY(const std::string html, render_report(report));
  INK_CHECK_OK(write_file(spec.out / "report.html", as_bytes(html)));
  console.out() << "report: " << (spec.out / "report.html").string() << "\n";
  return {};
}

}  // namespace

void add_simulate(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<SimulateSpec>();
  CLI::App* app = root.add_subcommand(
      "simulate", "Train federated models on a population of simulated devices");
  app->add_option("experiment", spec->experiment, "What to run (docs/simulation.md)")
      ->type_name("EXPERIMENT.toml");
  app->add_option("--out", spec->out, "Folder for the results")
      ->type_name("DIR")
      ->capture_default_str();
  app->add_option("--set", spec->settings, "Replaces a setting of the file; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app->add_option("--sweep", spec->sweeps,
                  "Runs once for each value; repeated, for each combination")
      ->type_name("KEY=A,B,...")
      ->allow_extra_args(false);
  app->add_flag("--resume", spec->resume, "Go on from the folder's last checkpoint");
  app->add_flag("--chaos", spec->chaos,
                "Instead: whole tasks under seeded faults, watched for broken invariants");
  app->add_option("--seeds", spec->seeds, "Seeds of --chaos; one alone is replayed line by line")
      ->type_name("FIRST..LAST")
      ->capture_default_str();
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return simulate(*spec, console); }; });
}

}  // namespace inkling::tools
