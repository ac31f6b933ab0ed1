#pragma once
// A training run of a classifier, from data to the best model.

#include <functional>
#include <optional>

#include "autograd/fine_tune.h"
#include "tools/train/checkpoint.h"
#include "tools/train/classifier.h"
#include "tools/train/evaluation.h"
#include "tools/train/settings.h"

namespace inkling::tools {

class Console;

// Everything that is decided before the first step.
struct TrainPlan {
  Graph base;  // one example in, "features" out
  ModelInput input;
  TrainChoice choice;
  ExampleSets sets;
  std::vector<std::size_t> train_rows, validation_rows;  // of sets.train
  std::size_t base_parameters = 0;                       // numbers in the base
  bool caches_features =
      false;  // the base runs once over the examples, and only the head is trained
};

Result<TrainPlan> plan_training(const TrainSettings& settings);

struct TrainEstimate {
  std::size_t trained_parameters = 0, memory_bytes = 0, steps = 0;
  std::size_t segments = 1;  // more: activations are computed again, segment by segment
  std::size_t pieces = 1;    // of a batch, one after the other
  double step_seconds = 0;   // measured; 0 unless asked for
};

// What training would take, by planning it and timing a few steps; nothing is written.
Result<TrainEstimate> estimate_training(const TrainSettings& settings, const TrainPlan& plan);

struct TrainResult {
  Classifier classifier;  // of the best epoch
  TrainedValues values;   // what was trained in it
  std::vector<EpochRecord> history;
  std::size_t best_epoch = 0;
  std::size_t parameters = 0;  // numbers in the whole classifier
  TrainEstimate estimate;
  std::optional<Evaluation> validation, test;
  double seconds = 0;  // of this process, without reading the data
};

// kFailedPrecondition: the loss is no longer finite; a run of other settings lies in the folder. A
// killed run goes on from its last whole epoch with `resume`.
Result<TrainResult> run_training(const TrainSettings& settings, const std::string& settings_text,
                                 const TrainPlan& plan, Console& console);

}  // namespace inkling::tools
