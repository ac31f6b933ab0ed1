// inkling simulate: federated learning over a population of simulated devices.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/measure.h"
#include "tools/report.h"
#include "tools/simulation/chaos.h"
#include "tools/simulation/mpi_ranks.h"
#include "tools/simulation/results.h"

namespace inkling::tools {
namespace {

struct SimulateSpec {
  Path experiment, out = "build/simulation";
  std::vector<std::string> settings, sweeps;
  unsigned jobs = 0;  // 0: as many as there are processors
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

// One of the runs that a sweep consists of.
struct PlannedRun {
  Experiment experiment;
  std::string settings;
  Path out;
};

Result<PlannedRun> plan_run(const SimulateSpec& spec, const Variant& variant) {
  INK_TRY(TomlReader reader, TomlReader::open(spec.experiment));
  for (const std::string& setting : spec.settings) INK_CHECK_OK(reader.set(setting));
  for (const std::string& setting : variant.settings) INK_CHECK_OK(reader.set(setting));
  INK_TRY(Experiment experiment, read_experiment(reader));
  return PlannedRun{std::move(experiment), reader.text(),
                    variant.name.empty() ? spec.out : spec.out / variant.name};
}

// How far all runs are together. Any thread.
class Progress {
 public:
  Progress(Console& console, std::span<const PlannedRun> runs) : console_(console) {
    for (const PlannedRun& run : runs) rounds_ += run.experiment.simulation.rounds;
  }
  void played(const std::string& name, const RoundRecord& round, std::uint64_t rounds) {
    const std::lock_guard lock(mutex_);
    ++played_;
    const double left = seconds_since(start_) / static_cast<double>(played_) *
                        static_cast<double>(rounds_ - std::min(played_, rounds_));
    console_.progress(concat(name.empty() ? "" : name + ": ", with_evaluation(round, rounds), ", ",
                             format_number(left), " s left"));
  }
  void finished(const std::string& name, const RunResult& run) {
    const std::lock_guard lock(mutex_);
    console_.progress("");
    console_.out() << (name.empty() ? "simulation" : name) << ": accuracy "
                   << format_number(run.final.accuracy) << ", "
                   << format_number(run.clients_per_second) << " clients/s, model "
                   << run.model_sha256.substr(0, 16) << std::endl;
  }

 private:
  Console& console_;
  std::mutex mutex_;
  const SteadyTime start_ = steady_now();
  std::uint64_t rounds_ = 0, played_ = 0;
};

Result<void> run_one(const PlannedRun& plan, const std::string& name, bool resume, Ranks* ranks,
                     DataSets& data_sets, Progress* progress, RunResult& result) {
  const SimulationSpec& simulation = plan.experiment.simulation;
  INK_TRY(const ExperimentData data,
          load_experiment_data(plan.experiment.data, simulation.seed, data_sets));
  INK_TRY(result, run_experiment({plan.experiment, plan.settings, plan.out, resume, ranks}, data,
                                 [&](const RoundRecord& round) {
                                   if (progress) progress->played(name, round, simulation.rounds);
                                 }));
  if (progress) progress->finished(name, result);
  return {};
}

// Ranks play one run after another, since each run is of all of them.
unsigned count_jobs(const SimulateSpec& spec, const Ranks* ranks) {
  if (ranks != nullptr) return 1;
  return spec.jobs > 0 ? spec.jobs : std::max(1u, std::thread::hardware_concurrency());
}

Result<void> simulate(const SimulateSpec& spec, Console& console) {
  if (spec.chaos) return simulate_chaos(spec.seeds, console);
  if (spec.experiment.empty())
    return fail(ErrorCode::kInvalidArgument, "simulate: no EXPERIMENT.toml, and no --chaos");
  INK_TRY(std::unique_ptr<Ranks> ranks, join_mpi_ranks());
  const bool is_silent = ranks && ranks->rank() > 0;
  INK_TRY(const std::vector<Variant> variants, expand_sweep(spec.sweeps));
  std::vector<PlannedRun> plans;
  for (const Variant& variant : variants) {
    INK_TRY(plans.emplace_back(), plan_run(spec, variant));
  }
  DataSets data_sets;
  Progress progress(console, plans);
  std::vector<RunResult> runs(plans.size());
  INK_CHECK_OK(run_in_parallel(plans.size(), count_jobs(spec, ranks.get()), [&](std::size_t i) {
    return run_one(plans[i], variants[i].name, spec.resume, ranks.get(), data_sets,
                   is_silent ? nullptr : &progress, runs[i]);
  }));
  part_mpi_ranks(std::move(ranks));
  if (is_silent) return {};
  const std::string name = spec.experiment.filename().string();
  INK_TRY(const std::string html, render_report(make_simulation_report(name, variants, runs)));
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
  app->add_option("--jobs", spec->jobs, "Runs of a sweep at a time; 0: as many as processors")
      ->type_name("N")
      ->capture_default_str();
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
