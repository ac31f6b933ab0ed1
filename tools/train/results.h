#pragma once
// What a training run tells: summary.json and report.html.

#include "tools/train/run.h"

namespace inkling::tools {

// Pretty-printed JSON, as it is written and as --json prints it.
std::string train_summary(const TrainSettings& settings, const TrainPlan& plan,
                          const TrainResult& result);
Result<std::string> train_report(const TrainSettings& settings, const TrainPlan& plan,
                                 const TrainResult& result);

std::string explain_text(const TrainSettings& settings, const TrainPlan& plan,
                         const TrainEstimate& estimate);
std::string explain_json(const TrainSettings& settings, const TrainPlan& plan,
                         const TrainEstimate& estimate);

// Of `inkling eval`; also the part on a test set above.
std::string evaluation_json(const Evaluation& evaluation, const Examples& set);

}  // namespace inkling::tools
