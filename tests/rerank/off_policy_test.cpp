#include "rerank/off_policy.h"

#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <vector>

#include "runtime/base/rng.h"

namespace inkling {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kActions = 5;
using Policy = std::array<double, kActions>;

Policy softmax_policy(double temperature, std::size_t best) {
  Policy p{};
  double total = 0;
  for (std::size_t i = 0; i < kActions; ++i)
    total += p[i] = std::exp(i == best ? 1 / temperature : 0.3 * static_cast<double>(i));
  for (double& v : p) v /= total;
  return p;
}

std::size_t draw(const Policy& p, Rng& rng) {
  double u = rng.uniform();
  std::size_t i = 0;
  while (i + 1 < kActions && u >= p[i]) u -= p[i++];
  return i;
}

// Two kinds of people, whose chances of a click under each action are known.
struct World {
  std::array<Policy, 2> click = {Policy{.1, .3, .2, .6, .05}, Policy{.5, .2, .1, .15, .4}};
  std::array<Policy, 2> logging = {softmax_policy(0.8, 1), softmax_policy(0.8, 2)};
  std::array<Policy, 2> target = {softmax_policy(0.6, 3), softmax_policy(0.6, 0)};

  double truth() const {
    double value = 0;
    for (std::size_t k = 0; k < 2; ++k)
      for (std::size_t a = 0; a < kActions; ++a) value += target[k][a] * click[k][a] / 2;
    return value;
  }
  // The reward model is wrong by a tenth everywhere: doubly robust estimation must not mind.
  std::vector<LoggedAction> log(std::size_t n, Rng& rng) const {
    std::vector<LoggedAction> actions;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t k = rng.below(2), a = draw(logging[k], rng);
      double average = 0;
      for (std::size_t b = 0; b < kActions; ++b) average += target[k][b] * (click[k][b] + 0.1);
      actions.push_back({.reward = rng.uniform() < click[k][a] ? 1.0 : 0.0,
                         .propensity = logging[k][a],
                         .target = target[k][a],
                         .predicted = click[k][a] + 0.1,
                         .predicted_target = average});
    }
    return actions;
  }
};

class OffPolicy : public ::testing::TestWithParam<OffPolicyEstimator> {};

TEST_P(OffPolicy, TheIntervalHoldsTheTruthNinetyFiveTimesInAHundred) {
  const World world;
  int inside = 0;
  for (std::uint64_t repetition = 0; repetition < 1000; ++repetition) {
    Rng rng(7, "off-policy", repetition);
    const auto estimate = evaluate_off_policy(GetParam(), world.log(2000, rng));
    ASSERT_TRUE(estimate);
    inside += estimate->low <= world.truth() && world.truth() <= estimate->high;
  }
  EXPECT_NEAR(inside, 950, 20);  // 95 % +- 2
}

INSTANTIATE_TEST_SUITE_P(Estimators, OffPolicy,
                         ::testing::Values(OffPolicyEstimator::kIps, OffPolicyEstimator::kSnips,
                                           OffPolicyEstimator::kDoublyRobust));

TEST(OffPolicyAnswer, OfThePolicyItselfIsTheMeanReward) {
  std::vector<LoggedAction> log(100, {.reward = 0, .propensity = 0.5, .target = 0.5});
  for (std::size_t i = 0; i < 25; ++i) log[i].reward = 1;
  for (const auto estimator : {OffPolicyEstimator::kIps, OffPolicyEstimator::kSnips})
    EXPECT_DOUBLE_EQ(evaluate_off_policy(estimator, log)->value, 0.25);
  EXPECT_DOUBLE_EQ(evaluate_off_policy(OffPolicyEstimator::kIps, log)->effective_samples, 100);
}

TEST(OffPolicyAnswer, IsRefusedBelowFiftyEffectiveSamples) {
  std::vector<LoggedAction> log(10'000, {.propensity = 0.5, .target = 0});
  for (std::size_t i = 0; i < 49; ++i) log[i].target = 0.5;
  const auto refused = evaluate_off_policy(OffPolicyEstimator::kSnips, log);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(refused.error().message, HasSubstr("effective sample of 49"));
  log[49].target = 0.5;
  EXPECT_TRUE(evaluate_off_policy(OffPolicyEstimator::kSnips, log));
  EXPECT_FALSE(evaluate_off_policy(OffPolicyEstimator::kSnips, {}));
}

TEST(OffPolicyAnswer, ImpossibleNumbersAreNamed) {
  const LoggedAction good{.propensity = 0.5, .target = 0.5};
  for (LoggedAction bad : {LoggedAction{.propensity = 0}, LoggedAction{.propensity = 1.1},
                           LoggedAction{.target = -0.1}, LoggedAction{.reward = NAN}}) {
    const auto refused =
        evaluate_off_policy(OffPolicyEstimator::kIps, std::vector<LoggedAction>{good, bad});
    EXPECT_THAT(refused.error().message, HasSubstr("action 1"));
  }
}

}  // namespace
}  // namespace inkling
