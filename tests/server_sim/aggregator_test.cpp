// Server optimizers against their formulas, and group rules against poisoned groups.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server-sim/aggregator/group_mean.h"
#include "server-sim/aggregator/server_optimizer.h"

namespace inkling {
namespace {

// Three steps with deltas 0.5, -0.25, 0.125 on a parameter that begins at 1: worked out by hand
// from the paper's update, rate 0.1, momentum 0.5, decay 0.75, tau 0.5 (v begins at 0.25).
//   m: FedAvgM 0.5, 0, 0.125; adaptive ones 0.25, 0, 0.0625
//   v: Adagrad 0.5, 0.5625, 0.578125; Adam 0.25, 0.203125, 0.15625; Yogi 0.25, 0.234375, 0.23046875
double after_three_steps(ServerRule rule) {
  switch (rule) {
    case ServerRule::kFedAvg:
      return 1 + 0.1 * (0.5 - 0.25 + 0.125);
    case ServerRule::kFedAvgM:
      return 1 + 0.1 * (0.5 + 0 + 0.125);
    case ServerRule::kFedAdagrad:
      return 1 + 0.1 * (0.25 / (std::sqrt(0.5) + 0.5) + 0.0625 / (std::sqrt(0.578125) + 0.5));
    case ServerRule::kFedAdam:
      return 1 + 0.1 * (0.25 / (0.5 + 0.5) + 0.0625 / (std::sqrt(0.15625) + 0.5));
    default:
      return 1 + 0.1 * (0.25 / (0.5 + 0.5) + 0.0625 / (std::sqrt(0.23046875) + 0.5));
  }
}

constexpr std::array kRules = {ServerRule::kFedAvg, ServerRule::kFedAvgM, ServerRule::kFedAdagrad,
                               ServerRule::kFedAdam, ServerRule::kFedYogi};

ServerOptimizerSpec spec_of(ServerRule rule) {
  return {.rule = rule, .rate = 0.1, .momentum = 0.5, .decay = 0.75, .tau = 0.5};
}

TEST(ServerOptimizer, TakesTheStepsOfThePapers) {
  for (const ServerRule rule : kRules) {
    ServerOptimizer optimizer = ServerOptimizer::create(spec_of(rule), 1).value();
    std::vector<float> x = {1};
    for (const float d : {0.5f, -0.25f, 0.125f}) {
      ASSERT_TRUE(optimizer.step(x, std::vector<float>{d}));
    }
    EXPECT_NEAR(x[0], after_three_steps(rule), 2e-7) << server_rule_name(rule);  // f32 state
    EXPECT_EQ(parse_server_rule(server_rule_name(rule)).value(), rule);
  }
  EXPECT_FALSE(parse_server_rule("sgd"));
}

TEST(ServerOptimizer, GoesOnFromItsSavedState) {
  const std::vector<float> first = {0.5f, -1.0f}, second = {0.25f, 2.0f};
  for (const ServerRule rule : kRules) {
    ServerOptimizer whole = ServerOptimizer::create(spec_of(rule), 2).value();
    ServerOptimizer resumed = ServerOptimizer::create(spec_of(rule), 2).value();
    std::vector<float> x = {1, 2}, y = {1, 2};
    ASSERT_TRUE(whole.step(x, first));
    ASSERT_TRUE(resumed.load(whole.save()));
    y = x;
    ASSERT_TRUE(whole.step(x, second));
    ASSERT_TRUE(resumed.step(y, second));
    EXPECT_EQ(x, y);
    Bytes state = whole.save();
    state.push_back(0);
    EXPECT_FALSE(resumed.load(state));
    EXPECT_FALSE(resumed.load(ByteSpan(state).first(state.size() - 2)));
    ServerOptimizer longer = ServerOptimizer::create(spec_of(rule), 3).value();
    EXPECT_FALSE(longer.load(whole.save()));
  }
  ServerOptimizer adam = ServerOptimizer::create(spec_of(ServerRule::kFedAdam), 2).value();
  const ServerOptimizer yogi = ServerOptimizer::create(spec_of(ServerRule::kFedYogi), 2).value();
  EXPECT_FALSE(adam.load(yogi.save()));
}

TEST(ServerOptimizer, RefusesWhatItCannotTake) {
  ServerOptimizer optimizer = ServerOptimizer::create({}, 2).value();
  std::vector<float> x = {1, 2};
  EXPECT_FALSE(optimizer.step(x, std::vector<float>{1}));
  EXPECT_FALSE(optimizer.step(x, std::vector<float>{1, std::nanf("")}));
  EXPECT_EQ(x, (std::vector<float>{1, 2}));
  EXPECT_FALSE(ServerOptimizer::create({.rate = 0}, 1));
  EXPECT_FALSE(ServerOptimizer::create({.momentum = 1}, 1));
  EXPECT_FALSE(ServerOptimizer::create({.decay = std::nan("")}, 1));
  EXPECT_FALSE(ServerOptimizer::create({.tau = 0}, 1));
}

using Groups = std::vector<GroupUpdate>;

TEST(GroupMean, WeighsGroups) {
  const std::vector<float> a = {1, 10}, b = {4, -2};
  const std::vector<GroupUpdate> groups = {{a, 1}, {b, 3}};
  const auto mean = group_mean(groups, {});
  ASSERT_TRUE(mean);
  EXPECT_EQ(*mean, (std::vector<float>{3.25f, 1.0f}));
}

TEST(GroupMean, RankRulesStandAsManyPoisonedGroupsAsTheySay) {
  const std::vector<float> honest1 = {1.0f}, honest2 = {1.1f}, honest3 = {0.9f}, evil = {1e9f},
                           evil2 = {-1e9f};
  const std::vector<GroupUpdate> one_of_four = {
      {honest1, 1}, {evil, 1e6}, {honest2, 1}, {honest3, 1}};
  const std::vector<GroupUpdate> two_of_five = {
      {honest1, 1}, {evil, 1}, {honest2, 1}, {evil2, 1}, {honest3, 1}};
  for (const auto& groups : {one_of_four, two_of_five}) {
    const auto median = group_mean(groups, {.rule = GroupRule::kMedian});
    ASSERT_TRUE(median);
    EXPECT_GE((*median)[0], 0.9f);
    EXPECT_LE((*median)[0], 1.1f);
    const auto trimmed = group_mean(groups, {.rule = GroupRule::kTrimmedMean, .hostile = 1});
    ASSERT_TRUE(trimmed);
    EXPECT_GE((*trimmed)[0], 0.9f);
    EXPECT_LE((*trimmed)[0], 1.1f);
  }
  EXPECT_GT((*group_mean(one_of_four, {}))[0], 1e6f) << "the plain mean is at the poisoner's mercy";
  const auto bounded = group_mean(std::vector<GroupUpdate>{{honest1, 1}, {evil, 1}},
                                  {.rule = GroupRule::kNormBound, .norm_max = 2});
  EXPECT_FLOAT_EQ((*bounded)[0], 1.5f);
}

TEST(GroupMean, DoesNotDependOnTheOrderOfGroups) {
  const std::vector<float> a = {0.1f}, b = {1e8f}, c = {-1e8f}, d = {0.3f};
  const std::vector<GroupUpdate> one = {{a, 1}, {b, 2}, {c, 2}, {d, 1}},
                                 other = {{c, 2}, {d, 1}, {a, 1}, {b, 2}};
  for (const GroupRule rule :
       {GroupRule::kMean, GroupRule::kMedian, GroupRule::kTrimmedMean, GroupRule::kNormBound}) {
    EXPECT_EQ(group_mean(one, {.rule = rule}).value(), group_mean(other, {.rule = rule}).value());
    EXPECT_EQ(parse_group_rule(group_rule_name(rule)).value(), rule);
  }
}

Groups groups_of(std::span<const std::vector<float>> deltas) {
  Groups groups;
  for (const auto& delta : deltas) groups.push_back({.delta = delta});
  return groups;
}

TEST(GroupMean, KrumPicksAGroupAmongTheMany) {
  const std::vector<float> rows[] = {{1, 10}, {2, 20}, {3, 30}, {4, 40}, {-1000, 1000}};
  const Groups groups = groups_of(rows);
  const auto chosen = group_mean(groups, {.rule = GroupRule::kKrum, .hostile = 1});
  ASSERT_TRUE(chosen) << chosen.error().message;
  EXPECT_EQ(*chosen, rows[1]);
}

// f = 1 of 7: Krum takes five of them, not the liar; their three values nearest the median count.
TEST(GroupMean, BulyanAveragesAroundTheMedianOfWhatKrumPicks) {
  const std::vector<float> rows[] = {{0}, {1}, {2}, {3}, {4}, {5}, {100}};
  const Groups groups = groups_of(rows);
  const auto mean = group_mean(groups, {.rule = GroupRule::kBulyan, .hostile = 1});
  ASSERT_TRUE(mean) << mean.error().message;
  EXPECT_GE((*mean)[0], 1);
  EXPECT_LE((*mean)[0], 4);
}

TEST(GroupMean, SaysHowManyGroupsItNeeds) {
  const std::vector<float> a = {1};
  const Groups four = {{a}, {a}, {a}, {a}};
  for (const auto& [rule, needs] :
       {std::pair{GroupRule::kKrum, "needs 5"}, std::pair{GroupRule::kBulyan, "needs 7"}}) {
    const auto refused = group_mean(four, {.rule = rule, .hostile = 1});
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(needs), std::string::npos) << refused.error().message;
  }
}

TEST(GroupMean, RefusesNonsense) {
  const std::vector<float> a = {1}, two = {1, 2}, nan = {std::nanf("")};
  EXPECT_FALSE(group_mean(Groups{}, {}));
  EXPECT_FALSE(group_mean(Groups{{a, 1}, {two, 1}}, {}));
  EXPECT_FALSE(group_mean(Groups{{nan, 1}}, {}));
  EXPECT_FALSE(group_mean(Groups{{a, 0}}, {}));
  EXPECT_FALSE(group_mean(Groups{{a, 1}, {a, 1}}, {.rule = GroupRule::kTrimmedMean, .hostile = 1}));
  EXPECT_FALSE(group_mean(Groups{{a, 1}}, {.rule = GroupRule::kNormBound, .norm_max = 0}));
  EXPECT_FALSE(parse_group_rule("geometric"));
}

// (1, 0) is the server's own. The honest group points there at 45 degrees, the poisoner the other
// way and a hundred times as far; what is across counts for nothing.
TEST(GroupMean, FlTrustWeighsByTheAngleToTheServersOwnUpdate) {
  const std::vector<float> honest = {3, 3}, evil = {-100, 1}, across = {0, 50}, own = {1, 0};
  const std::vector<GroupUpdate> groups = {{honest, 1}, {evil, 1}, {across, 1}};
  const auto mean = group_mean(groups, {.rule = GroupRule::kFlTrust, .reference = own});
  ASSERT_TRUE(mean) << mean.error().message;
  EXPECT_NEAR((*mean)[0], std::sqrt(0.5), 1e-6);  // as long as the server's; float
  EXPECT_NEAR((*mean)[1], std::sqrt(0.5), 1e-6);
  const std::vector<GroupUpdate> both = {{honest, 1}, {own, 1}};
  const auto weighed = group_mean(both, {.rule = GroupRule::kFlTrust, .reference = own}).value();
  const double trust = std::sqrt(0.5);  // against 1
  EXPECT_NEAR(weighed[0], (trust * trust + 1) / (trust + 1), 1e-6);
  const auto nobody = group_mean(std::vector<GroupUpdate>{{evil, 1}},
                                 {.rule = GroupRule::kFlTrust, .reference = own});
  EXPECT_EQ(*nobody, (std::vector<float>{0, 0}));
  EXPECT_EQ(group_mean(groups, {.rule = GroupRule::kFlTrust}).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling
