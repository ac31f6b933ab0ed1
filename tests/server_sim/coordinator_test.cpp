// Whole tasks in memory: the coordinator and participants as they are, without sockets.

#include "server-sim/coordinator/coordinator.h"

#include <gtest/gtest.h>

#include <cmath>

#include "federated/parameters.h"
#include "tests/server_sim/task_world.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

constexpr std::size_t kDevices = 6;
constexpr auto kEveryone = [](std::size_t) { return true; };

class CoordinatorTest : public ScratchTest {
 protected:
  static Path fresh(const Path& parent) {
    static int next = 0;  // a test may play several tasks
    return parent / std::to_string(next++);
  }
};

// Stochastic rounding moves a coordinate of one device by less than one step, which is 1 / scale
// when weights are uniform and weight_max / scale when they are not; so their mean moves by less
// than that. f32 adds rounding errors of values around 1.
void expect_moved_by_mean_delta(const TaskWorld& world, const std::vector<float>& before,
                                const std::function<bool(std::size_t)>& counts) {
  const std::vector<float> after = world.parameters();
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t j = 0; j < after.size(); ++j) {
    double sum = 0, members = 0;
    for (std::size_t i = 0; i < world.devices.size(); ++i) {
      if (!counts(i)) continue;
      sum += world.devices[i].delta[j];
      ++members;
    }
    EXPECT_NEAR(after[j] - before[j], sum / members,
                world.spec.config.weight_max / world.spec.config.scale + 1e-6)
        << j;
  }
}

TEST_F(CoordinatorTest, MovesTheModelByTheMeanDelta) {
  TaskWorld world(folder_, kDevices);
  const std::vector<float> before = world.parameters();
  ASSERT_TRUE(world.run());
  expect_moved_by_mean_delta(world, before, kEveryone);
  EXPECT_TRUE(world.coordinator->finished());
  const auto reports = world.reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].code, secagg::RoundCode::kOk);
  EXPECT_EQ(reports[0].survivors, kDevices);
  EXPECT_TRUE(reports[0].dropped.empty());
  EXPECT_EQ(reports[0].sum, world.plain_sum({1, 1}, kEveryone));
  const secagg::Hash made = secagg::hash_of({world.coordinator->model()});
  for (const TestDevice& device : world.devices) {
    ASSERT_EQ(device.played.size(), 1u) << (device.error ? device.error->message : "");
    EXPECT_EQ(device.played[0].result.model_hash, made);
    EXPECT_EQ(device.played[0].result.survivors, kDevices);
    EXPECT_EQ(device.state->names("round/").value(), std::vector<std::string>{last_key()})
        << "secrets of a finished round are still there";
  }
}

TEST_F(CoordinatorTest, PlaysTheSecondRoundOnTheModelOfTheFirst) {
  TaskWorld world(folder_, kDevices);
  world.spec.rounds = 2;
  world.spec.optimizer.rate = 0.5;
  world.reopen();
  for (TestDevice& device : world.devices) device.rounds_to_play = 2;
  const std::vector<float> before = world.parameters();
  ASSERT_TRUE(world.run());
  // Half of the mean delta, twice, is the mean delta; each half is off by half a step at most.
  expect_moved_by_mean_delta(world, before, kEveryone);
  EXPECT_EQ(world.coordinator->rounds_done(), 2u);
  ASSERT_EQ(world.reports().size(), 2u);
  EXPECT_EQ(world.reports()[1].attempt, (secagg::Attempt{2, 1}));
  const auto asked_again = world.step(0);
  ASSERT_TRUE(asked_again) << asked_again.error().message;
  EXPECT_EQ(asked_again->seat, federated::Seat::kFinished);
}

TEST_F(CoordinatorTest, LeavesOutAndReportsADeviceThatDiesAfterItsShares) {
  TaskWorld world(folder_, kDevices);
  const std::vector<float> before = world.parameters();
  world.devices[2].dies_after = "shares";
  ASSERT_TRUE(world.run());
  const auto alive = [](std::size_t i) { return i != 2; };
  expect_moved_by_mean_delta(world, before, alive);
  const auto reports = world.reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].sum, world.plain_sum({1, 1}, alive));
  EXPECT_EQ(reports[0].survivors, kDevices - 1);
  ASSERT_EQ(reports[0].dropped.size(), 1u);
  EXPECT_EQ(reports[0].dropped[0].client, device_id(2));
  EXPECT_EQ(reports[0].dropped[0].phase, int(secagg::ServerPhase::kMasking));
}

TEST_F(CoordinatorTest, SeatsADeviceInTheNextRoundThatMissedTheEndOfTheLast) {
  TaskWorld world(folder_, kDevices);
  world.spec.rounds = 2;
  world.reopen();
  TestDevice& late = world.devices[2];
  late.dies_after = "shares";
  ASSERT_TRUE(world.run());
  late.dead = false;
  late.dies_after.clear();
  for (TestDevice& device : world.devices) device.rounds_to_play = &device == &late ? 1 : 2;
  ASSERT_TRUE(world.run());
  ASSERT_EQ(late.played.size(), 1u) << (late.error ? late.error->message : "");
  EXPECT_EQ(late.played[0].attempt, (secagg::Attempt{2, 1}));
  EXPECT_TRUE(late.played[0].gave_update);
  EXPECT_EQ(world.reports()[1].survivors, kDevices);
  EXPECT_TRUE(world.reports()[1].dropped.empty());
}

TEST_F(CoordinatorTest, CountsADeviceThatDiesAfterItsMaskedUpdate) {
  TaskWorld world(folder_, kDevices);
  world.devices[4].dies_after = "masked";
  ASSERT_TRUE(world.run());
  const auto reports = world.reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].code, secagg::RoundCode::kOk);
  EXPECT_EQ(reports[0].survivors, kDevices);
  EXPECT_EQ(reports[0].sum, world.plain_sum({1, 1}, kEveryone));
}

TEST_F(CoordinatorTest, FollowsAnAttemptWithTooFewByOneWithFreshKeys) {
  TaskWorld world(folder_, kDevices);
  for (std::size_t i = 0; i < 3; ++i) world.devices[i].dies_after = "shares";
  const std::vector<float> before = world.parameters();
  ASSERT_TRUE(world.run());
  ASSERT_EQ(world.reports().size(), 1u);
  EXPECT_EQ(world.reports()[0].code, secagg::RoundCode::kTooFewClients);
  EXPECT_TRUE(world.reports()[0].sum.empty());
  EXPECT_EQ(world.parameters(), before);

  // The dead are back, their seats still in the attempt that failed without them.
  const auto died = [](std::size_t i) { return i < 3; };
  for (std::size_t i = 0; i < kDevices; ++i) {
    world.devices[i].dead = false;
    world.devices[i].dies_after.clear();
    world.devices[i].rounds_to_play = died(i) ? 1 : 2;
  }
  ASSERT_TRUE(world.run());
  expect_moved_by_mean_delta(world, before, kEveryone);
  const auto reports = world.reports();
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[1].attempt, (secagg::Attempt{1, 2}));
  EXPECT_EQ(reports[1].code, secagg::RoundCode::kOk);
  EXPECT_EQ(reports[1].sum, world.plain_sum({1, 2}, kEveryone));
  for (std::size_t i = 0; i < kDevices; ++i) {
    const TestDevice& device = world.devices[i];
    ASSERT_EQ(device.played.size(), died(i) ? 1u : 2u)
        << (device.error ? device.error->message : "");
    if (!died(i)) {
      EXPECT_EQ(device.played[0].result.code, secagg::RoundCode::kTooFewClients);
    }
    EXPECT_EQ(device.played.back().attempt, (secagg::Attempt{1, 2}));
    EXPECT_EQ(device.played.back().result.code, secagg::RoundCode::kOk);
  }
}

TEST_F(CoordinatorTest, MakesTheSameModelWhicheverMessageTheServerCrashesAfter) {
  TaskWorld undisturbed(fresh(folder_), kDevices);
  ASSERT_TRUE(undisturbed.run());
  const std::size_t messages = undisturbed.accepted;
  ASSERT_GE(messages, 4 * kDevices);
  for (std::size_t k = 1; k <= messages; ++k) {
    SCOPED_TRACE(concat("crash after message ", k, " of ", messages));
    TaskWorld world(fresh(folder_), kDevices);
    world.on_accepted = [&](std::size_t accepted) {
      if (accepted == k) world.reopen();
    };
    ASSERT_TRUE(world.run());
    ASSERT_EQ(world.coordinator->model(), undisturbed.coordinator->model());
    for (const TestDevice& device : world.devices)
      EXPECT_EQ(device.played.size(), 1u) << (device.error ? device.error->message : "");
  }
}

TEST_F(CoordinatorTest, MakesTheSameModelWhenTheServerCrashesAfterEveryMessage) {
  TaskWorld undisturbed(fresh(folder_), kDevices), world(fresh(folder_), kDevices);
  ASSERT_TRUE(undisturbed.run());
  world.on_accepted = [&](std::size_t) { world.reopen(); };
  ASSERT_TRUE(world.run());
  EXPECT_EQ(world.coordinator->model(), undisturbed.coordinator->model());
}

TEST_F(CoordinatorTest, FinishesTheRoundWhenItCrashedBetweenTheLastMessageAndTheModel) {
  TaskWorld world(folder_, kDevices);
  Path journalled;  // the state as it was before the last message
  world.on_accepted = [&](std::size_t accepted) {
    if (accepted + 1 != 4 * kDevices) return;
    world.coordinator.reset();
    journalled = folder_ / "before_the_last";
    std::filesystem::copy(folder_ / "server", journalled, std::filesystem::copy_options::recursive);
    world.reopen();
  };
  ASSERT_TRUE(world.run());
  ASSERT_EQ(world.accepted, 4 * kDevices);
  {
    RoundStore store = RoundStore::open(journalled / "rounds.sqlite").value();
    ByteWriter record;  // as secagg::Server writes it
    record.u8(1);
    record.u64(static_cast<std::uint64_t>(world.clock.unix_ms()));
    record.raw(world.last_sender);
    record.raw(world.last_message);
    ASSERT_TRUE(store.append(record.bytes()));
  }
  const Bytes expected = world.coordinator->model();
  world.coordinator.reset();
  std::filesystem::remove_all(folder_ / "server");
  std::filesystem::rename(journalled, folder_ / "server");
  world.reopen();
  EXPECT_EQ(world.coordinator->model(), expected);
  EXPECT_EQ(world.coordinator->rounds_done(), 1u);
}

// Devices of a TaskWorld restart at every message; here they also send every message twice, and
// round anew each time.
TEST_F(CoordinatorTest, CountsADeviceOnceThatIsStoppedAndResendsAtEveryMessage) {
  TaskWorld world(folder_, kDevices);
  const std::vector<float> before = world.parameters();
  for (TestDevice& device : world.devices) {
    device.rounding.reset();
    device.loses_acknowledgements = true;
  }
  ASSERT_TRUE(world.run());
  for (const TestDevice& device : world.devices)
    ASSERT_EQ(device.played.size(), 1u) << (device.error ? device.error->message : "");
  expect_moved_by_mean_delta(world, before, kEveryone);
  EXPECT_EQ(world.reports().at(0).sum, world.plain_sum({1, 1}, kEveryone));
}

TEST_F(CoordinatorTest, KeepsADeviceInTheRoundThatRestartsAfterItsMaskedUpdate) {
  TaskWorld world(folder_, kDevices);
  for (TestDevice& device : world.devices) device.rounding.reset();
  world.devices[3].dies_after = "masked";
  while (!world.devices[3].dead) {
    for (std::size_t i = kDevices; i-- > 0 && !world.devices[3].dead;) (void)world.step(i);
  }
  world.devices[3].dead = false;
  world.devices[3].dies_after.clear();
  const int trained_before = world.devices[3].trained;
  (void)world.step(3);  // while the server still waits for the masked updates of 0 to 2
  ASSERT_TRUE(world.run());
  ASSERT_FALSE(world.devices[3].error) << world.devices[3].error->message;
  EXPECT_EQ(world.devices[3].trained, trained_before) << "trained for a round that has its update";
  EXPECT_EQ(world.reports().at(0).sum, world.plain_sum({1, 1}, kEveryone));
}

TEST_F(CoordinatorTest, AbortsAnAttemptWhoseSumIsNoUpdateAndGoesOn) {
  TaskWorld world(folder_, kDevices);
  world.spec.config.weight_mode = secagg::WeightMode::kByExamples;
  world.spec.config.weight_max = 4;
  world.reopen();
  for (TestDevice& device : world.devices) device.weight = 0;  // the mean is over nothing
  const std::vector<float> before = world.parameters();
  ASSERT_TRUE(world.run());
  ASSERT_EQ(world.reports().size(), 1u);
  EXPECT_EQ(world.reports()[0].code, secagg::RoundCode::kCountMismatch);
  EXPECT_NE(world.reports()[0].reason.find("weight"), std::string::npos)
      << world.reports()[0].reason;
  EXPECT_EQ(world.parameters(), before);
  world.reopen();
  for (TestDevice& device : world.devices) {
    ASSERT_EQ(device.played.size(), 1u) << (device.error ? device.error->message : "");
    EXPECT_EQ(device.played[0].result.code, secagg::RoundCode::kCountMismatch);
    device.weight = 1;
    device.rounds_to_play = 2;
  }
  ASSERT_TRUE(world.run());
  expect_moved_by_mean_delta(world, before, kEveryone);
}

TEST_F(CoordinatorTest, AcknowledgesNothingOnceTheJournalHasFailed) {
  TaskWorld world(folder_, kDevices);
  std::optional<Database> other;
  std::optional<Transaction> lock;
  world.on_accepted = [&](std::size_t accepted) {
    if (accepted != 7) return;  // the writes of the next message fail
    other.emplace(Database::open(folder_ / "server" / "rounds.sqlite").value());
    lock.emplace(Transaction::begin(*other).value());
  };
  for (int pass = 0; pass < 4; ++pass) {
    for (std::size_t i = 0; i < kDevices; ++i) (void)world.step(i);
  }
  EXPECT_EQ(world.accepted, 7u) << "a message that is not in the journal was acknowledged";
  const auto asked = world.coordinator->poll(device_id(0), {1, 1}, 0);
  ASSERT_FALSE(asked) << "sends what may follow from a message that is not in the journal";
  EXPECT_EQ(asked.error().code, ErrorCode::kIo);
  const auto ticked = world.coordinator->tick(world.clock.unix_ms());
  EXPECT_FALSE(ticked) << "the host does not learn of it";
  for (const TestDevice& device : world.devices) EXPECT_FALSE(device.error);
  lock.reset();
  other.reset();
  world.on_accepted = {};
  world.reopen();
  ASSERT_TRUE(world.run());
  EXPECT_EQ(world.reports().at(0).sum, world.plain_sum({1, 1}, kEveryone));
  EXPECT_EQ(world.reports().at(0).survivors, kDevices);
}

TEST_F(CoordinatorTest, PlaysWithTheLargestModelThatADeviceCanKeepAndRefusesALargerOne) {
  TaskWorld world(folder_, kDevices);
  const auto open = [&](const Model& model) {
    return Coordinator::open(world.spec,
                             make_identity(task_authority(), secagg::Role::kServer, {0, 255}),
                             task_authority().public_key(), folder_ / "large",
                             encode_model(model).value(), world.server_entropy);
  };
  const auto model_of = [](std::size_t bytes) {
    Model model;
    model.graph.output("x", model.graph.variable("x", Tensor::from<float>(Shape({1}), {1.0f})));
    model.graph.constant(Tensor::zeros({DType::kF32, Shape({std::int64_t(bytes / 4)})}));
    return model;
  };
  const std::size_t overhead = encode_model(model_of(4)).value().size();
  const auto refused = open(model_of(federated::kTaskModelBytesMax));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceLimit);

  auto opened = open(model_of(federated::kTaskModelBytesMax - overhead));
  ASSERT_TRUE(opened) << opened.error().message;
  world.coordinator.emplace(*std::move(opened));
  const auto seated = world.step(0);  // and keeps its seat
  ASSERT_FALSE(seated);
  EXPECT_EQ(seated.error().code, ErrorCode::kNetwork) << seated.error().message;
  EXPECT_EQ(world.accepted, 1u);
}

TEST_F(CoordinatorTest, RefusesACorruptFirstModelAndTakesAGoodOneLater) {
  TaskWorld world(folder_, kDevices);
  Bytes damaged = world.first_model();
  damaged[damaged.size() / 2] ^= 1;
  const auto open = [&](const Bytes& model) {
    return Coordinator::open(
        world.spec, make_identity(task_authority(), secagg::Role::kServer, {0, 255}),
        task_authority().public_key(), folder_ / "another", model, world.server_entropy);
  };
  const auto refused = open(damaged);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  const auto opened = open(world.first_model());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->model(), world.first_model());
}

}  // namespace
}  // namespace inkling
