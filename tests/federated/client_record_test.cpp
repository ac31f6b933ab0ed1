// Crashes of a client between any two steps.

#include <gtest/gtest.h>

#include "tests/federated/round_world.h"

namespace inkling::secagg {
namespace {

ClientTask task_of(const World& world) {
  return {.task = world.round.task,
          .plan_hash = world.round.plan_hash,
          .model_hash = world.round.model_hash,
          .last = {.round = 6, .attempt = 9}};
}

Result<Client> restored(const World& world, std::size_t index, ByteSpan record) {
  return Client::restore(record, task_of(world), world.identity_of(index), world.authority,
                         Policy{}, world.entropy[index]);
}

class CrashAnywhere : public testing::TestWithParam<Mode> {};

// Every client dies after persisting and before sending, at every step; its host restores it and
// the server asks again.
TEST_P(CrashAnywhere, ResendsTheSameBytesAndTheSumIsExact) {
  Config config = small_config(4);
  config.mode = GetParam();
  World world(config, 4);
  while (world.server.phase() < ServerPhase::kDone) {
    for (std::size_t i = 0; i < 4; ++i) {
      const Bytes message = world.server.outgoing(client_id(i)).value();
      Reply lost = world.clients[i].receive(message, kNow).value();
      world.clients[i] = restored(world, i, lost.record).value();
      EXPECT_EQ(world.clients[i].context(), world.server.context());
      Reply again = world.clients[i].receive(message, kNow).value();
      if (world.clients[i].phase() == ClientPhase::kReady) {
        // The Inbox is in; the input was lost with the process and is set anew.
        EXPECT_TRUE(again.to_send.empty());
        lost = world.clients[i].set_input(world.inputs[i]).value();
        world.clients[i] = restored(world, i, lost.record).value();
        EXPECT_FALSE(world.clients[i].set_input(world.inputs[i]));
        again = world.clients[i].receive(message, kNow).value();
      }
      ASSERT_FALSE(again.to_send.empty());
      EXPECT_EQ(again.to_send, lost.to_send);
      EXPECT_EQ(again.record, lost.record);
      ASSERT_TRUE(world.server.receive(client_id(i), again.to_send, kNow));
      EXPECT_TRUE(world.server.receive(client_id(i), lost.to_send, kNow)->duplicate ||
                  world.server.phase() > ServerPhase::kAdvertising);
    }
  }
  EXPECT_EQ(world.server.phase(), ServerPhase::kDone);
  EXPECT_EQ(world.server.outcome().sum, world.expected_sum([](std::size_t) { return true; }));
}

INSTANTIATE_TEST_SUITE_P(Client, CrashAnywhere, testing::Values(Mode::kSemiHonest, Mode::kStrict));

TEST(ClientRecord, TheMaskedVectorIsDroppedOnceItIsCounted) {
  Config config = small_config(3);
  config.dimension = 10000;
  World world(config, 3);
  world.run_until(ServerPhase::kMasking);
  const Bytes inbox = world.server.outgoing(client_id(0)).value();
  world.run_until(ServerPhase::kUnmasking);
  EXPECT_GT(world.clients[0].save().size(), 30000u);
  EXPECT_TRUE(world.clients[0].receive(inbox, kNow));
  world.run_until(ServerPhase::kDone);
  EXPECT_LT(world.clients[0].save().size(), 10000u);
  const auto late = world.clients[0].receive(inbox, kNow);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kFailedPrecondition);
}

TEST(ClientRecord, DamageIsNoticed) {
  World world(small_config(2), 2);
  world.run_until(ServerPhase::kMasking);
  const SecretBytes record = world.clients[0].save();
  ASSERT_TRUE(restored(world, 0, record));
  for (std::size_t i = 0; i < record.size(); ++i) {
    SecretBytes changed = record;
    changed[i] ^= 1;
    ASSERT_FALSE(restored(world, 0, changed)) << i;
    ASSERT_FALSE(restored(world, 0, ByteSpan(record).first(i))) << i;
  }
}

TEST(ClientRecord, BelongsToItsTaskModelAndIdentity) {
  World world(small_config(2), 2);
  world.run_until(ServerPhase::kMasking);
  const SecretBytes record = world.clients[0].save();
  ClientTask other = task_of(world);
  other.model_hash[0] ^= 1;
  EXPECT_FALSE(Client::restore(record, other, world.identity_of(0), world.authority, Policy{},
                               world.entropy[0]));
  EXPECT_FALSE(Client::restore(record, task_of(world), world.identity_of(5), world.authority,
                               Policy{}, world.entropy[0]));
  EXPECT_FALSE(Client::restore(record, task_of(world), world.identity_of(0), world.authority,
                               Policy{.n_min = 3}, world.entropy[0]));
}

TEST(ClientRecord, HoldsNoSecretOnceTheRoundIsOver) {
  World world(small_config(2), 2);
  world.run_until(ServerPhase::kMasking);
  const ClientState before = decode_state(world.clients[0].save()).value();
  world.run_until(ServerPhase::kDone);
  ASSERT_TRUE(world.server.publish(Hash{}));
  ASSERT_TRUE(world.exchange(0));
  const SecretBytes record = world.clients[0].save();
  for (const Secret<32>* secret : {&before.c_secret, &before.s_secret, &before.seed}) {
    const auto bytes = secret->reveal();
    EXPECT_EQ(std::search(record.begin(), record.end(), bytes.begin(), bytes.end()), record.end());
  }
}

}  // namespace
}  // namespace inkling::secagg
