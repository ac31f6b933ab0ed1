// Rounds of several groups, and rounds that only measure.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "federated/parameters.h"
#include "tests/server_sim/task_world.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

constexpr std::size_t kGroups = 3, kGroupSize = 4, kDevices = kGroups * kGroupSize;

class GroupRounds : public ScratchTest {
 protected:
  // Devices 0..3 come first, then 4..7, then the rest.
  static void set_groups(TaskWorld& world, GroupRule rule) {
    world.spec.groups = kGroups;
    world.spec.group_rule.rule = rule;
    world.spec.config.n_min = kGroupSize - 1;
    world.spec.config.n_max = kGroupSize;
    world.spec.config.delta_ppm = secagg::kPpm / kGroupSize + 1;
    world.reopen();
  }
  // The mean delta of each group in coordinate j.
  static std::vector<double> means(const TaskWorld& world, std::size_t j) {
    std::vector<double> sums(kGroups);
    for (std::size_t i = 0; i < kDevices; ++i)
      sums[i / kGroupSize] += world.devices[i].delta[j] / double(kGroupSize);
    return sums;
  }
};

TEST_F(GroupRounds, TakeTheMedianSoThatAPoisonedGroupDoesNotMatter) {
  TaskWorld world(folder_, kDevices);
  set_groups(world, GroupRule::kMedian);
  for (float& d : world.devices[5].delta) d = 7;  // the most that its clip lets it do
  const std::vector<float> before = world.parameters();
  ASSERT_TRUE(world.run());
  const std::vector<float> after = world.parameters();
  for (std::size_t j = 0; j < after.size(); ++j) {
    std::vector<double> three = means(world, j);
    std::sort(three.begin(), three.end());
    EXPECT_NEAR(after[j] - before[j], three[1], 1 / world.spec.config.scale + 1e-6) << j;
    EXPECT_LT(std::fabs(after[j] - before[j]), 1.0f) << "the poison is in it";
  }
  const auto reports = world.reports();
  ASSERT_EQ(reports.size(), kGroups);
  for (std::uint32_t g = 0; g < kGroups; ++g) {
    EXPECT_EQ(reports[g].attempt, (secagg::Attempt{1, g + 1}));
    EXPECT_EQ(reports[g].code, secagg::RoundCode::kOk);
    EXPECT_EQ(reports[g].closes_round, g + 1 == kGroups);
    const auto in_group = [&](std::size_t i) { return i / kGroupSize == g; };
    EXPECT_EQ(reports[g].sum, world.plain_sum(reports[g].attempt, in_group));
  }
  EXPECT_EQ(world.coordinator->rounds_done(), 1u);
  EXPECT_EQ(world.coordinator->stats().groups_ok, kGroups - 1);
  EXPECT_EQ(world.coordinator->stats().rounds_ok, 1u);
}

TEST_F(GroupRounds, WeightedMeansOfGroupsAreTheMeanOfAll) {
  TaskWorld world(folder_, kDevices);
  set_groups(world, GroupRule::kMean);
  world.devices[6].dies_after = "shares";  // a group of three
  const std::vector<float> before = world.parameters();
  ASSERT_TRUE(world.run());
  for (std::size_t j = 0; j < before.size(); ++j) {
    double sum = 0;
    for (std::size_t i = 0; i < kDevices; ++i) sum += i == 6 ? 0 : world.devices[i].delta[j];
    EXPECT_NEAR(world.parameters()[j] - before[j], sum / (kDevices - 1),
                1 / world.spec.config.scale + 1e-6);
  }
}

TEST_F(GroupRounds, MakeTheSameModelWhenTheServerCrashesAfterEveryMessage) {
  TaskWorld undisturbed(folder_ / "a", kDevices), world(folder_ / "b", kDevices);
  for (TaskWorld* one : {&undisturbed, &world}) {
    set_groups(*one, GroupRule::kTrimmedMean);
    one->spec.rounds = 2;
    one->reopen();
    for (TestDevice& device : one->devices) device.rounds_to_play = 2;
  }
  world.on_accepted = [&](std::size_t) { world.reopen(); };
  ASSERT_TRUE(undisturbed.run());
  ASSERT_TRUE(world.run());
  EXPECT_EQ(undisturbed.coordinator->rounds_done(), 2u);
  EXPECT_EQ(world.coordinator->rounds_done(), 2u);
  EXPECT_EQ(world.coordinator->model(), undisturbed.coordinator->model());
  EXPECT_NE(world.coordinator->model(), world.first_model());
}

TEST_F(GroupRounds, SeatNobodyTwiceInARoundAlsoAfterARestart) {
  TaskWorld world(folder_, kDevices);
  set_groups(world, GroupRule::kMedian);
  for (std::size_t i = kGroupSize; i < kDevices; ++i) world.devices[i].dead = true;
  ASSERT_TRUE(world.run());  // the first group
  for (int life = 0; life < 2; ++life) {
    const auto again = federated::decode_invitation(world.join(0).value()).value();
    EXPECT_EQ(again.seat, federated::Seat::kWait);
    EXPECT_GT(again.retry_ms, 0u);
    world.reopen();
  }
  const auto fresh = federated::decode_invitation(world.join(kGroupSize).value()).value();
  EXPECT_EQ(fresh.seat, federated::Seat::kTaken);
  EXPECT_EQ(fresh.attempt, (secagg::Attempt{1, 2}));
  const auto still = federated::decode_invitation(world.join(0).value()).value();
  EXPECT_EQ(still.seat, federated::Seat::kWait);
}

TEST_F(GroupRounds, CostPrivacyOnceARound) {
  TaskWorld world(folder_, kDevices);
  world.spec.config.noise = secagg::Noise::kDiscreteGaussian;
  world.spec.config.noise_sigma = 1 << 16;
  world.spec.config.clip_l2 = 1;
  world.spec.config.ring_bits = 40;
  set_groups(world, GroupRule::kMedian);
  ASSERT_TRUE(world.run());
  ASSERT_EQ(world.coordinator->rounds_done(), 1u);
  const double of_round = world.coordinator->spent().value()->epsilon;
  TaskWorld single(folder_ / "single", kGroupSize);
  single.spec = world.spec;
  single.spec.groups = 1;
  single.spec.group_rule = {};
  single.reopen();
  ASSERT_TRUE(single.run());
  EXPECT_EQ(of_round, single.coordinator->spent().value()->epsilon);
  EXPECT_GT(of_round, 0);
}

TEST_F(GroupRounds, RefuseARuleThatNeedsMoreGroups) {
  TaskWorld world(folder_, kDevices);
  world.spec.groups = 4;
  world.spec.group_rule = {.rule = GroupRule::kKrum, .hostile = 1};
  world.coordinator.reset();
  const auto refused = world.open_coordinator();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  world.spec.groups = 5;
  EXPECT_TRUE(world.open_coordinator());
  world.spec.groups = 0;
  world.spec.group_rule = {};
  EXPECT_FALSE(world.open_coordinator());
}

TEST_F(GroupRounds, EvaluationsGiveTheSumsOfMetricsAndLeaveTheModel) {
  TaskWorld world(folder_, kGroupSize);
  world.spec.evaluates = true;
  world.spec.config.metrics = 2;
  world.spec.config.metric_clip = 10;
  world.spec.rounds = 2;
  world.reopen();
  for (std::size_t i = 0; i < kGroupSize; ++i) {
    world.devices[i].delta = {0.0f};
    world.devices[i].metrics = {0.25 * static_cast<double>(i), -1.5};
    world.devices[i].rounds_to_play = 2;
  }
  world.devices[3].metrics[0] = 1e9;  // counts as 10
  ASSERT_TRUE(world.run());
  for (const TestDevice& device : world.devices)
    ASSERT_FALSE(device.error) << device.error->message;
  world.reopen();
  EXPECT_EQ(world.coordinator->rounds_done(), 2u);
  EXPECT_EQ(world.coordinator->model(), world.first_model());
  const auto reports = world.reports();
  ASSERT_EQ(reports.size(), 2u);
  for (const RoundReport& report : reports) {
    ASSERT_EQ(report.metric_sums.size(), 2u);
    EXPECT_NEAR(report.metric_sums[0], 0.25 + 0.5 + 10, kGroupSize / world.spec.config.scale);
    EXPECT_NEAR(report.metric_sums[1], -6, kGroupSize / world.spec.config.scale);
  }
  EXPECT_EQ(world.devices[0].played[1].result.model_hash,
            secagg::hash_of({world.coordinator->model()}));
  world.coordinator.reset();
  world.spec.config.metrics = 0;
  EXPECT_FALSE(world.open_coordinator()) << "an evaluation of nothing";
}

TEST_F(GroupRounds, MetricsTravelWithUpdatesToo) {
  TaskWorld world(folder_, kGroupSize);
  world.spec.config.metrics = 1;
  world.reopen();
  for (TestDevice& device : world.devices) device.metrics = {0.5};
  const std::vector<float> before = world.parameters();
  ASSERT_TRUE(world.run());
  EXPECT_NE(world.parameters(), before);
  ASSERT_EQ(world.reports().at(0).metric_sums.size(), 1u);
  EXPECT_NEAR(world.reports()[0].metric_sums[0], 2, kGroupSize / world.spec.config.scale);
}

}  // namespace
}  // namespace inkling
