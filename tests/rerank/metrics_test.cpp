#include "rerank/metrics.h"

#include <gmock/gmock.h>

#include <cmath>

namespace inkling {
namespace {

// Values by hand: places are ranked 2, 0, 3, 1 (place 2 scores best).
ScoredSlate slate(std::vector<std::uint8_t> relevant) {
  return {.user = 1, .scores = {2, 0, 3, 1}, .relevant = std::move(relevant)};
}

double value(Metric metric, const ScoredSlate& s, const MetricOptions& options = {}) {
  const auto values = evaluate(metric, std::vector<ScoredSlate>{s}, options);
  EXPECT_TRUE(values) << values.error().message;
  return values->at(0).value;
}

TEST(Metrics, AgreeWithValuesComputedByHand) {
  EXPECT_EQ(value(Metric::kTop1, slate({0, 0, 1, 0})), 1);
  EXPECT_EQ(value(Metric::kTop1, slate({1, 0, 0, 0})), 0);
  EXPECT_EQ(value(Metric::kMrr, slate({1, 0, 0, 0})), 0.5);
  EXPECT_EQ(value(Metric::kMrr, slate({0, 1, 0, 1})), 1 / 3.0);
  EXPECT_DOUBLE_EQ(value(Metric::kNdcg, slate({1, 0, 0, 0})), 1 / std::log2(3));
  EXPECT_DOUBLE_EQ(value(Metric::kNdcg, slate({0, 1, 0, 0})), 1 / std::log2(5));
  EXPECT_EQ(value(Metric::kNdcg, slate({0, 1, 0, 0}), {.k = 3}), 0);
  EXPECT_DOUBLE_EQ(value(Metric::kNdcg, slate({1, 0, 0, 1})),
                   (1 / std::log2(3) + 1 / std::log2(4)) / (1 + 1 / std::log2(3)));
  const double total = std::exp(2) + std::exp(0) + std::exp(3) + std::exp(1);
  EXPECT_NEAR(value(Metric::kNll, slate({1, 0, 0, 0})), std::log(total) - 2, 1e-12);
  EXPECT_NEAR(value(Metric::kNll, slate({1, 1, 0, 0})), std::log(total) - 1, 1e-12);
  EXPECT_DOUBLE_EQ(value(Metric::kAuc, slate({1, 0, 0, 0})), 2 / 3.0);
  EXPECT_DOUBLE_EQ(value(Metric::kAuc, slate({1, 1, 0, 0})), 1 / 4.0);
}

TEST(Metrics, TiesCountHalfInAucAndKeepTheServersOrderElsewhere) {
  const ScoredSlate tied{.user = 1, .scores = {1, 1, 0}, .relevant = {0, 1, 0}};
  EXPECT_EQ(value(Metric::kAuc, tied), 0.75);
  EXPECT_EQ(value(Metric::kTop1, tied), 0);
  EXPECT_EQ(value(Metric::kMrr, tied), 0.5);
}

TEST(Metrics, NllStaysFiniteAtHugeScoresAndNotAtBrokenOnes) {
  const ScoredSlate huge{.user = 1, .scores = {3e38f, -3e38f}, .relevant = {1, 0}};
  EXPECT_EQ(value(Metric::kNll, huge), 0);
  const ScoredSlate broken{.user = 1, .scores = {NAN, 1}, .relevant = {0, 1}};
  EXPECT_EQ(value(Metric::kNll, broken), INFINITY);
  EXPECT_EQ(value(Metric::kTop1, broken), 1);
}

TEST(Metrics, GaucWeighsByImpressionsAndSkipsSlatesOfOneKind) {
  const std::vector<ScoredSlate> slates = {
      {.user = 1, .scores = {2, 1}, .relevant = {1, 0}},        // AUC 1, two items
      {.user = 2, .scores = {1, 2, 3}, .relevant = {1, 0, 0}},  // AUC 0, three items
      {.user = 3, .scores = {1, 2}, .relevant = {0, 0}},
      {.user = 4, .scores = {1, 2}, .relevant = {1, 1}}};
  const auto values = evaluate(Metric::kAuc, slates, {.weighting = Weighting::kPerItem});
  ASSERT_TRUE(values);
  EXPECT_EQ(values->at(2).weight, 0);
  EXPECT_EQ(values->at(3).weight, 0);
  Rng rng(1, "bootstrap");
  const auto gauc = bootstrap_mean(*values, rng);
  ASSERT_TRUE(gauc);
  EXPECT_DOUBLE_EQ(gauc->mean, 0.4);
  EXPECT_EQ(gauc->users, 2u);
}

TEST(Metrics, RefuseSlatesThatCannotBeScored) {
  const auto refused = [](const ScoredSlate& s) {
    return evaluate(Metric::kTop1, std::vector<ScoredSlate>{s}).error().message;
  };
  EXPECT_NE(refused({}).find("slate 0"), std::string::npos);
  EXPECT_NE(refused({.scores = {1, 2}, .relevant = {1}}).find("2 scores and 1 labels"),
            std::string::npos);
  EXPECT_FALSE(evaluate(Metric::kNdcg, {}, {.k = 0}));
}

TEST(Bootstrap, CoversTheTrueMeanAsOftenAsItSays) {
  // 60 users of mean 0 with three correlated slates each: the interval should miss 1 time in 20.
  int covered = 0;
  constexpr int kTrials = 300;
  for (std::uint64_t trial = 0; trial < kTrials; ++trial) {
    Rng data(17, "data", trial);
    std::vector<SlateValue> values;
    for (UserId user = 0; user < 60; ++user) {
      const double taste = data.normal();
      for (int i = 0; i < 3; ++i)
        values.push_back({.user = user, .value = taste + 0.3 * data.normal(), .weight = 1});
    }
    Rng rng(18, "bootstrap", trial);
    const auto interval = bootstrap_mean(values, rng, 400);
    ASSERT_TRUE(interval);
    if (interval->low <= 0 && 0 <= interval->high) ++covered;
  }
  // Binomial(300, .94): three standard deviations are 12; slates taken as independent cover 77 %.
  EXPECT_GE(covered, 270);
  EXPECT_LE(covered, 297);
}

TEST(Bootstrap, PairingRemovesWhatBothModelsShare) {
  Rng data(19, "data");
  std::vector<SlateValue> a, b;
  for (UserId user = 0; user < 100; ++user) {
    const double hard = 5 * data.normal();
    a.push_back({.user = user, .value = hard + 0.1 + 0.01 * data.normal(), .weight = 1});
    b.push_back({.user = user, .value = hard, .weight = 1});
  }
  Rng rng(20, "bootstrap");
  const auto gain = bootstrap_difference(a, b, rng);
  ASSERT_TRUE(gain);
  EXPECT_NEAR(gain->mean, 0.1, 0.005);
  EXPECT_GT(gain->low, 0.09);
  EXPECT_LT(gain->high, 0.11);
}

TEST(Bootstrap, TheSeedDecidesAndBadInputIsRefused) {
  const std::vector<SlateValue> values = {{1, 0.5, 1}, {2, 1.5, 1}, {3, 0, 1}};
  Rng first(4, "x"), again(4, "x");
  EXPECT_EQ(bootstrap_mean(values, first)->low, bootstrap_mean(values, again)->low);
  Rng rng(1, "x");
  EXPECT_FALSE(bootstrap_mean({}, rng));
  EXPECT_FALSE(bootstrap_mean(std::vector<SlateValue>{{1, 1, 0}}, rng));
  EXPECT_FALSE(bootstrap_mean(std::vector<SlateValue>{{1, NAN, 1}}, rng));
  EXPECT_FALSE(bootstrap_difference(values, std::span(values).first(2), rng));
  std::vector<SlateValue> other = values;
  other[1].user = 9;
  EXPECT_FALSE(bootstrap_difference(values, other, rng));
}

}  // namespace
}  // namespace inkling
