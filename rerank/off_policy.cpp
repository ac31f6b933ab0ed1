#include "rerank/off_policy.h"

#include <cmath>

namespace inkling {

namespace {

constexpr double kNormal95 = 1.959963984540054;

double weight(const LoggedAction& a) { return a.target / a.propensity; }

Result<void> check(std::span<const LoggedAction> log) {
  for (std::size_t i = 0; i < log.size(); ++i) {
    const LoggedAction& a = log[i];
    if (!(a.propensity > 0 && a.propensity <= 1) || !(a.target >= 0 && a.target <= 1) ||
        !std::isfinite(a.reward + a.predicted + a.predicted_target)) {
      return fail(ErrorCode::kInvalidArgument, "off-policy: action ", i, ": propensity ",
                  a.propensity, ", target ", a.target, ", reward ", a.reward,
                  ": expected probabilities in (0, 1] and [0, 1], and finite rewards");
    }
  }
  return {};
}

struct Mean {
  double value = 0, error = 0;
};

template <typename Term>
Mean mean_of(std::span<const LoggedAction> log, const Term& term) {
  const auto n = static_cast<double>(log.size());
  Mean m;
  for (const LoggedAction& a : log) m.value += term(a) / n;
  double squares = 0;
  for (const LoggedAction& a : log) squares += (term(a) - m.value) * (term(a) - m.value);
  m.error = std::sqrt(squares / (n - 1) / n);
  return m;
}

// A ratio of means; its error by the delta method.
Mean self_normalised(std::span<const LoggedAction> log) {
  double weights = 0, rewards = 0, squares = 0;
  for (const LoggedAction& a : log) {
    weights += weight(a);
    rewards += weight(a) * a.reward;
  }
  const double value = rewards / weights;
  for (const LoggedAction& a : log) {
    const double residual = weight(a) * (a.reward - value);
    squares += residual * residual;
  }
  return {value, std::sqrt(squares) / weights};
}

}  // namespace

Result<OffPolicyEstimate> evaluate_off_policy(OffPolicyEstimator estimator,
                                              std::span<const LoggedAction> log) {
  INK_CHECK_OK(check(log));
  double sum = 0, squares = 0;
  for (const LoggedAction& a : log) {
    sum += weight(a);
    squares += weight(a) * weight(a);
  }
  const double effective = squares > 0 ? sum * sum / squares : 0;
  if (effective < kEffectiveSamplesMin) {
    return fail(ErrorCode::kFailedPrecondition, "off-policy: ", log.size(),
                " actions are worth an effective sample of ", effective, ", expected at least ",
                kEffectiveSamplesMin);
  }
  Mean mean;
  switch (estimator) {
    case OffPolicyEstimator::kIps:
      mean = mean_of(log, [](const LoggedAction& a) { return weight(a) * a.reward; });
      break;
    case OffPolicyEstimator::kSnips:
      mean = self_normalised(log);
      break;
    case OffPolicyEstimator::kDoublyRobust:
      mean = mean_of(log, [](const LoggedAction& a) {
        return a.predicted_target + weight(a) * (a.reward - a.predicted);
      });
  }
  return OffPolicyEstimate{.value = mean.value,
                           .low = mean.value - kNormal95 * mean.error,
                           .high = mean.value + kNormal95 * mean.error,
                           .effective_samples = effective};
}

}  // namespace inkling
