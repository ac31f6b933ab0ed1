#pragma once
// The local trainings that a plan can name, bound to this device's data.

#include "federated/participant.h"

namespace inkling::tools {

// "conditional_logit": full-batch gradient steps on the choices in the device's behaviour log.
// kEvaluateChoices: the model as it is on those choices; two metrics: the mean of -log P(chosen),
// and 1 if there was anything to evaluate. The training itself refuses (kUnsupported) a plan of
// another kind.
inline constexpr const char* kEvaluateChoices = "evaluate_conditional_logit";
inline constexpr std::uint32_t kEvaluateMetrics = 2;
inline constexpr double kEvaluateMetricMax = 64;  // where the mean is clipped
federated::LocalTraining local_training(const Path& device_folder);

}  // namespace inkling::tools
