// Who gets a seat, when a round may begin, and when it need not wait.

#include <gtest/gtest.h>

#include "federated/join_request.h"
#include "federated/parameters.h"
#include "tests/server_sim/task_world.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

constexpr std::size_t kDevices = 6;
constexpr auto kEveryone = [](std::size_t) { return true; };

class AdmissionTest : public ScratchTest {};

federated::Invitation seat_of(const Result<Bytes>& answer) {
  return federated::decode_invitation(answer.value()).value();
}

TEST_F(AdmissionTest, SeatsOnlyWhoProvesToBeTheDevice) {
  TaskWorld world(folder_, kDevices);
  const std::int64_t now = world.clock.unix_ms();
  const auto refuses = [&](std::size_t as, const Bytes& request, ErrorCode code) {
    const auto answer = world.coordinator->join(device_id(as), request, now);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, code) << answer.error().message;
  };
  const Bytes mine = federated::make_join_request(world.devices[0].identity, now);
  refuses(1, mine, ErrorCode::kVerification);  // another device's seat
  refuses(0, {}, ErrorCode::kCorrupt);
  for (std::size_t i = 0; i < mine.size(); ++i) {
    Bytes changed = mine;
    changed[i] ^= 4;
    refuses(0, changed, ErrorCode::kVerification);
  }
  const std::int64_t window = federated::kJoinWindowMs;
  for (const std::int64_t when : {now - window - 1, now + window + 1}) {
    refuses(0, federated::make_join_request(world.devices[0].identity, when),
            ErrorCode::kVerification);
  }
  EXPECT_EQ(world.coordinator->stats().seats_given, 0u) << "a refused request took a seat";
  EXPECT_FALSE(world.coordinator->progress()) << "a refused request opened an attempt";
  for (const std::int64_t when : {now - window, now + window}) {
    const auto joined = world.coordinator->join(
        device_id(0), federated::make_join_request(world.devices[0].identity, when), now);
    EXPECT_EQ(seat_of(joined).seat, federated::Seat::kTaken);
  }
  EXPECT_EQ(world.coordinator->stats().seats_given, 1u);
}

TEST_F(AdmissionTest, RefusesRevokedDevicesAndOlderLists) {
  TaskWorld world(folder_, kDevices);
  const auto authority = task_authority();
  federated::Revocations list{.issued_ms = 20, .ids = {device_id(2), device_id(4)}};
  const Bytes bytes = federated::encode_revocations(list, authority);
  const auto read = federated::decode_revocations(bytes, authority.public_key());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->ids, list.ids);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes changed = bytes;
    changed[i] ^= 1;
    EXPECT_FALSE(federated::decode_revocations(changed, authority.public_key())) << i;
  }
  EXPECT_FALSE(federated::decode_revocations(ByteSpan(bytes).first(bytes.size() - 1),
                                             authority.public_key()));
  ASSERT_TRUE(world.coordinator->set_revocations(*read));
  EXPECT_FALSE(world.join(2));
  EXPECT_FALSE(world.join(4));
  EXPECT_TRUE(world.join(3));
  EXPECT_FALSE(world.coordinator->set_revocations({.issued_ms = 19, .ids = {}}));
  EXPECT_FALSE(world.join(2)) << "an older list let a device back in";
  ASSERT_TRUE(world.coordinator->set_revocations({.issued_ms = 21, .ids = {}}));
  EXPECT_TRUE(world.join(2));
}

TEST_F(AdmissionTest, EndsTheTaskBeforeTheRoundThatWouldBreakTheBudget) {
  TaskWorld world(folder_, kDevices);
  world.spec.rounds = 50;
  world.spec.config.scale = 16;
  world.spec.config.noise = secagg::Noise::kDiscreteGaussian;
  world.spec.config.noise_sigma = 400;
  world.spec.budget = privacy::Budget{.epsilon = 4, .delta = 1e-6};
  world.reopen();
  for (TestDevice& device : world.devices) device.rounds_to_play = 50;
  std::uint64_t rounds = 0;
  while (!world.coordinator->finished()) {
    for (TestDevice& device : world.devices) device.rounds_to_play = int(rounds) + 1;
    ASSERT_TRUE(world.run());
    ++rounds;
    ASSERT_LT(rounds, 50u);
    if (rounds == 1) world.reopen();  // what was spent survives
  }
  EXPECT_GT(rounds, 2u);
  EXPECT_TRUE(world.coordinator->exhausted());
  const privacy::Spent spent = world.coordinator->spent()->value();
  EXPECT_LE(spent.epsilon, 4);
  EXPECT_GT(spent.epsilon, 2);
  EXPECT_EQ(seat_of(world.join(0)).seat, federated::Seat::kFinished);
  world.spec.config.noise = secagg::Noise::kNone;
  world.spec.config.noise_sigma = 0;
  EXPECT_FALSE(world.open_coordinator()) << "a budget without noise";
}

TEST_F(AdmissionTest, DoesNotWaitForMoreUpdatesThanItWants) {
  TaskWorld world(folder_, kDevices);
  world.spec.updates_wanted = kDevices - 1;
  world.reopen();
  world.devices[5].dies_after = "shares";
  const std::int64_t start = world.clock.unix_ms();
  ASSERT_TRUE(world.run());
  EXPECT_EQ(world.reports().at(0).survivors, kDevices - 1);
  EXPECT_EQ(world.reports().at(0).sum,
            world.plain_sum({1, 1}, [](std::size_t i) { return i != 5; }));
  EXPECT_LT(world.clock.unix_ms() - start, std::int64_t(world.spec.config.phase_ms[2]))
      << "waited for the lost device until the deadline";
}

TEST_F(AdmissionTest, DoesNotWaitForMoreSharesThanItNeeds) {
  TaskWorld world(folder_, kDevices);
  world.devices[5].dies_after = "masked";
  while (world.accepted < 4 * kDevices - 1) {
    const std::size_t before = world.accepted;
    for (std::size_t i = 0; i < kDevices; ++i) {
      if (!world.devices[i].dead) (void)world.step(i);
    }
    ASSERT_GT(world.accepted, before);
  }
  ASSERT_TRUE(world.coordinator->progress());
  ASSERT_TRUE(world.coordinator->tick(world.clock.unix_ms()));
  EXPECT_TRUE(world.coordinator->progress()) << "gave spare shares no time at all";
  world.clock.advance(world.spec.spare_shares_ms);
  ASSERT_TRUE(world.coordinator->tick(world.clock.unix_ms()));
  EXPECT_EQ(world.coordinator->rounds_done(), 1u);
  EXPECT_EQ(world.reports().at(0).sum, world.plain_sum({1, 1}, kEveryone));
}

TEST_F(AdmissionTest, TellsDevicesToComeBackLaterTheMoreOfThemWait) {
  TaskWorld world(folder_, kDevices);
  world.spec.config.n_max = 3;
  world.spec.config.n_min = 3;
  world.reopen();
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(seat_of(world.join(i)).seat, federated::Seat::kTaken);
  std::uint32_t first = 0, last = 0;
  for (std::size_t i = 100; i < 130; ++i) {
    const secagg::Identity identity =
        make_identity(task_authority(), secagg::Role::kClient, device_id(i));
    const std::int64_t now = world.clock.unix_ms();
    const auto seat = seat_of(
        world.coordinator->join(device_id(i), federated::make_join_request(identity, now), now));
    ASSERT_EQ(seat.seat, federated::Seat::kWait);
    if (first == 0) first = seat.retry_ms;
    last = seat.retry_ms;
  }
  EXPECT_GE(first, world.spec.retry_ms / 2);
  EXPECT_LE(first, world.spec.retry_ms * 3 / 2);
  EXPECT_GE(last, 10 * world.spec.retry_ms / 2) << "ten cohorts wait";
  EXPECT_EQ(world.coordinator->stats().joins_deferred, 30u);
}

// A device that went back to the beginning in the middle of an attempt: its keys are gone.
TEST_F(AdmissionTest, GivesNoSeatAgainOnceTheAttemptHasGoneOn) {
  TaskWorld world(folder_, 4);
  const auto seat = [&] {
    return federated::decode_invitation(world.join(0).value()).value().seat;
  };
  EXPECT_EQ(seat(), federated::Seat::kTaken);
  EXPECT_EQ(seat(), federated::Seat::kTaken) << "the first answer was lost";
  for (std::size_t i = 0; i < 4; ++i) (void)world.step(i);
  ASSERT_EQ(world.coordinator->progress()->phase, secagg::ServerPhase::kSharing);
  EXPECT_EQ(seat(), federated::Seat::kWait);
  ASSERT_TRUE(world.run()) << "the others, and the device itself with what it kept";
  EXPECT_EQ(world.reports().at(0).survivors, 4u);
}

TEST_F(AdmissionTest, CancelsAnAttemptAndGoesOnWithTheNext) {
  TaskWorld world(folder_, kDevices);
  EXPECT_FALSE(world.coordinator->cancel(world.clock.unix_ms()));
  ASSERT_TRUE(world.join(0));
  ASSERT_TRUE(world.coordinator->cancel(world.clock.unix_ms()));
  EXPECT_FALSE(world.coordinator->progress());
  EXPECT_EQ(world.reports().at(0).code, secagg::RoundCode::kCancelled);
  EXPECT_EQ(seat_of(world.join(0)).attempt, (secagg::Attempt{1, 2}));
}

TEST_F(AdmissionTest, KeepsTheServerOptimizersMomentumAcrossRestarts) {
  const auto play = [&](const Path& folder, bool restarts) {
    TaskWorld world(folder, kDevices);
    world.spec.rounds = 3;
    world.spec.optimizer = {.rule = ServerRule::kFedAdam, .rate = 0.1};
    world.reopen();
    for (int round = 1; round <= 3; ++round) {
      for (TestDevice& device : world.devices) device.rounds_to_play = round;
      EXPECT_TRUE(world.run());
      if (restarts) world.reopen();
    }
    return world.parameters();
  };
  const auto whole = play(folder_ / "whole", false), resumed = play(folder_ / "resumed", true);
  EXPECT_EQ(whole, resumed);
}

TEST_F(AdmissionTest, DevicesRefuseRoundsBeyondTheirOwnBudget) {
  TaskWorld world(folder_, kDevices);
  privacy::Ledger ledger = privacy::Ledger::open(folder_ / "privacy.sqlite").value();
  TestDevice& device = world.devices[0];
  device.ledger = &ledger;
  device.budget = privacy::Budget{.epsilon = 8, .delta = 1e-6};
  ASSERT_TRUE(world.run());
  ASSERT_TRUE(device.error) << "gave an update without noise";
  EXPECT_EQ(device.error->code, ErrorCode::kResourceLimit) << device.error->message;
  EXPECT_TRUE(ledger.entries()->empty());
  EXPECT_EQ(device.trained, 0) << "trained in vain";
}

TEST_F(AdmissionTest, DevicesWriteDownWhatLeavesThem) {
  TaskWorld world(folder_, kDevices);
  privacy::Ledger ledger = privacy::Ledger::open(folder_ / "privacy.sqlite").value();
  world.devices[1].ledger = &ledger;
  world.devices[1].loses_acknowledgements = true;
  ASSERT_TRUE(world.run());
  const auto entries = ledger.entries().value();
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].round, 1u);
  EXPECT_EQ(entries[0].cohort_min, world.spec.config.n_min);
  EXPECT_EQ(entries[0].what, "masked update of 5 parameters and 0 metrics");
  EXPECT_FALSE(entries[0].mechanism);
}

}  // namespace
}  // namespace inkling
