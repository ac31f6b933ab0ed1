#pragma once
// What another ranking policy would have earned, from a log of this one's with its propensities:
// inverse propensity scores (Horvitz and Thompson, 1952), their self-normalised form (Swaminathan
// and Joachims, NeurIPS 2015) and doubly robust estimation (Dudik, Langford and Li, ICML 2011).
//
// The answer rests on the logged actions that the other policy would take too. How many those are
// worth is the effective sample size (Kish): below kEffectiveSamplesMin there is no answer.

#include <span>

#include "runtime/base/result.h"

namespace inkling {

struct LoggedAction {
  double reward = 0;
  double propensity = 1;  // of this action under the logging policy, (0, 1]
  double target = 0;      // of this action under the other policy, [0, 1]
  // A reward model's word on the logged action, and on the other policy's average action; 0 without
  // a model.
  double predicted = 0, predicted_target = 0;
};

inline constexpr double kEffectiveSamplesMin = 50;

enum class OffPolicyEstimator { kIps, kSnips, kDoublyRobust };

struct OffPolicyEstimate {
  double value = 0;
  double low = 0, high = 0;  // 95 % by the normal approximation
  double effective_samples = 0;
};

// kInvalidArgument names the action whose numbers cannot be. kFailedPrecondition: an effective
// sample size below kEffectiveSamplesMin.
Result<OffPolicyEstimate> evaluate_off_policy(OffPolicyEstimator estimator,
                                              std::span<const LoggedAction> log);

}  // namespace inkling
