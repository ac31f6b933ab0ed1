#pragma once
// One run of an experiment: its rounds, and what it leaves in its folder.
//
//   run.json        the experiment as it was run, seed and version
//   metrics.jsonl   one line a round
//   summary.json    the last line's numbers, speed and memory, the model's SHA-256
//   trace.json      the rounds on the virtual clock, for chrome://tracing and Perfetto
//   model.f32       the parameters, little-endian, in the order of the architecture's variables
//   checkpoint.bin  where --resume goes on

#include <functional>
#include <vector>

#include "tools/simulation/experiment.h"

namespace inkling::tools {

struct RunSpec {
  Experiment experiment;
  std::string settings;  // as TOML, for run.json
  Path out;
  bool resume = false;
  Ranks* ranks = nullptr;  // who else plays it; only rank 0 leaves anything in the folder
};

struct RunResult {
  std::vector<RoundRecord> rounds;          // of this life
  Evaluation final;                         // as last measured
  std::optional<Evaluation> personal = {};  // the same, of the clients' own models
  std::string model_sha256;
  double epsilon = 0;           // spent
  double noise_multiplier = 0;  // of what was spent on
  double clients_per_second = 0;
  double seconds = 0;
  double peak_rss_mb = 0;
};

// kFailedPrecondition: the folder holds a run already, and resume was not asked for.
Result<RunResult> run_experiment(const RunSpec& spec, const ExperimentData& data,
                                 const std::function<void(const RoundRecord&)>& on_round);

}  // namespace inkling::tools
