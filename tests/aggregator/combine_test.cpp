#include "server-sim/aggregator/combine.h"

#include <gmock/gmock.h>

#include <cmath>

#include "server-sim/aggregator/server_optimizer.h"

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using Rows = std::vector<std::vector<float>>;

std::vector<float> combined(Combine rule, double hostile, const Rows& rows) {
  const std::vector<double> weights(rows.size(), 1.0);
  const auto result = combine({rule, hostile}, rows, weights);
  EXPECT_TRUE(result) << result.error().message;
  return result.value_or(std::vector<float>());
}

const Rows kOneLiar = {{1, 10}, {2, 20}, {3, 30}, {4, 40}, {-1000, 1000}};

TEST(Combine, MeanWeighsItsRows) {
  const Rows rows = {{1, 2}, {3, 6}};
  const std::vector<double> weights = {3, 1};
  EXPECT_THAT(*combine({}, rows, weights), ElementsAre(FloatEq(1.5), FloatEq(3)));
}

TEST(Combine, MedianAndTrimmedMeanLeaveOutTheExtremes) {
  EXPECT_THAT(combined(Combine::kMedian, 0, kOneLiar), ElementsAre(2, 30));
  EXPECT_THAT(combined(Combine::kMedian, 0, {{1}, {2}, {4}, {9}}), ElementsAre(3));
  EXPECT_THAT(combined(Combine::kTrimmedMean, 0.2, kOneLiar), ElementsAre(2, 30));
}

TEST(Combine, KrumPicksARowAmongTheMany) {
  EXPECT_THAT(combined(Combine::kKrum, 0.2, kOneLiar), ElementsAre(2, 20));
}

// By hand: f = 1 of 7 rows; Krum five times over leaves out both ends of 0, 1, 2, 3, 4, 5, 100, and
// the three values nearest the median of what is left are averaged.
TEST(Combine, BulyanAveragesAroundTheMedianOfWhatKrumPicks) {
  const Rows rows = {{0}, {1}, {2}, {3}, {4}, {5}, {100}};
  const auto got = combined(Combine::kBulyan, 1.0 / 7, rows);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_GE(got[0], 1.0f);
  EXPECT_LE(got[0], 4.0f);
}

TEST(Combine, SaysHowManyRowsItNeeds) {
  const std::vector<double> weights(4, 1.0);
  const Rows four = {{1}, {2}, {3}, {4}};
  for (const auto& [rule, needs] :
       {std::pair{Combine::kKrum, "needs 5"}, std::pair{Combine::kBulyan, "needs 7"}}) {
    const auto refused = combine({rule, 0.25}, four, weights);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(needs), std::string::npos) << refused.error().message;
  }
  EXPECT_FALSE(combine({Combine::kMedian, 0.5}, four, weights));
  EXPECT_FALSE(combine({}, Rows{}, {}));
  EXPECT_FALSE(combine({}, Rows{{1}, {1, 2}}, std::vector<double>{1, 1}));
}

// Two steps of each rule by hand, d = 1 then d = -2, from w = 0.
TEST(ServerOptimizer, FollowsItsFormula) {
  const auto after = [](ServerRule rule) {
    ServerOptimizer optimizer(
        {.rule = rule, .rate = 0.1, .momentum = 0.9, .beta2 = 0.99, .tau = 0.5}, 1);
    std::vector<float> w = {0};
    optimizer.step(std::vector<float>{1}, w);
    optimizer.step(std::vector<float>{-2}, w);
    return static_cast<double>(w[0]);
  };
  EXPECT_NEAR(after(ServerRule::kFedAvg), -0.1, 1e-6);
  EXPECT_NEAR(after(ServerRule::kFedAvgM), 0.1 * (1 + (0.9 - 2)), 1e-6);
  const double m1 = 0.1, m2 = 0.9 * m1 - 0.2, v0 = 0.25;
  const auto two = [&](double v1, double v2) {
    return 0.1 * (m1 / (std::sqrt(v1) + 0.5) + m2 / (std::sqrt(v2) + 0.5));
  };
  EXPECT_NEAR(after(ServerRule::kFedAdagrad), two(v0 + 1, v0 + 5), 1e-6);
  const double a1 = 0.99 * v0 + 0.01;
  EXPECT_NEAR(after(ServerRule::kFedAdam), two(a1, 0.99 * a1 + 0.04), 1e-6);
  const double y1 = v0 + 0.01;
  EXPECT_NEAR(after(ServerRule::kFedYogi), two(y1, y1 + 0.04), 1e-6);
}

TEST(ServerOptimizer, RefusesAStateOfAnotherRuleOrSize) {
  ServerOptimizer adam({.rule = ServerRule::kFedAdam}, 3), small({.rule = ServerRule::kFedAdam}, 2),
      average({}, 3);
  const Bytes state = adam.save();
  EXPECT_TRUE(adam.load(state));
  EXPECT_FALSE(small.load(state));
  EXPECT_FALSE(average.load(state));
}

}  // namespace
}  // namespace inkling
