// One whole round as a host would drive it. Read this first.

#include <gtest/gtest.h>

#include "federated/secagg/client.h"
#include "federated/update.h"
#include "server-sim/secagg/secagg_server.h"
#include "tests/federated/round_world.h"

namespace inkling::secagg {
namespace {

TEST(Round, ATutorial) {
  // Once, at enrolment: an authority certifies a server and three devices under Ed25519 keys. The
  // app pins the authority's public key.
  const SigningKey authority = signing_key(1, "authority");
  SigningKey server_key = signing_key(1, "server");
  const Certificate server_certificate =
      issue_certificate(authority, Role::kServer, {42}, server_key.public_key(), kExpiry);

  // For a task, the server publishes a plan and a model; everybody hashes the bytes they have.
  const TaskId task_id = {7};
  const Hash plan_hash = hash_of({as_bytes("the plan's bytes")});
  const Hash model_hash = hash_of({as_bytes("the model's bytes")});

  // The round: at least three clients, five model coordinates of 16 bits, one metric.
  Config config{.n_min = 3, .n_max = 3};
  config.ring_bits = 32;
  config.dimension = 5;
  config.metrics = 1;
  config.clip_l2 = 10.0;
  config.scale = 1000.0;
  config.metric_clip = 4.0;
  config.weight_mode = WeightMode::kByExamples;
  config.weight_max = 100;

  SystemEntropy entropy;
  RoundIdentity round{.task = task_id,
                      .attempt = {.round = 1, .attempt = 1},
                      .plan_hash = plan_hash,
                      .model_hash = model_hash,
                      .server_nonce = {}};
  ASSERT_TRUE(entropy.fill(round.server_nonce));
  Server server = Server::create({.config = config,
                                  .identity = round,
                                  .server = {server_certificate, std::move(server_key)},
                                  .authority = authority.public_key()},
                                 kNow)
                      .value();

  // Each device makes a machine for the model that it actually has, and pins its own floors.
  const std::vector<ClientId> ids = {{1}, {2}, {3}};
  std::vector<Client> clients;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    SigningKey key = signing_key(i, "device");
    const Certificate certificate =
        issue_certificate(authority, Role::kClient, ids[i], key.public_key(), kExpiry);
    clients.push_back(Client::create(
        {.task = task_id, .plan_hash = plan_hash, .model_hash = model_hash, .last = {}},
        {certificate, std::move(key)}, authority.public_key(), Policy{.n_min = 3}, entropy));
  }

  // The transport: a client fetches what the server has for it, the host persists the record, then
  // posts the answer; the server's host journals the receipt before it acknowledges.
  std::vector<Bytes> journal;
  std::vector<SecretBytes> records(ids.size());
  const auto exchange = [&](std::size_t i) {
    const Bytes message = server.outgoing(ids[i]).value();
    Reply reply = clients[i].receive(message, kNow).value();
    records[i] = std::move(reply.record);
    if (!reply.to_send.empty()) {
      journal.push_back(server.receive(ids[i], reply.to_send, kNow).value().record);
    }
  };

  // P0 and R0: everybody gets the offer and advertises keys. The phase closes at n_max.
  for (std::size_t i = 0; i < ids.size(); ++i) exchange(i);
  ASSERT_EQ(server.phase(), ServerPhase::kSharing);

  // Local training happens here. Each client turns its delta into ring values and hands them over.
  const std::vector<std::vector<float>> deltas = {
      {1, 2, 3, 4, 5}, {0, -1, 0, 1, 0}, {.5f, 0, 0, 0, 1}};
  const std::vector<std::uint32_t> examples = {10, 30, 60};
  const std::vector<double> losses = {0.5, 1.5, 2.0};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto ring = federated::encode_update(
        *clients[i].config(), clients[i].context(),
        {.delta = deltas[i], .weight = examples[i], .metrics = {&losses[i], 1}}, entropy);
    ASSERT_TRUE(clients[i].set_input(*ring));
  }

  // R1: roster out, shares in. R2: inboxes out, masked vectors in. R4: survivors out, shares in.
  for (std::size_t i = 0; i < ids.size(); ++i) exchange(i);
  ASSERT_EQ(server.phase(), ServerPhase::kMasking);
  for (std::size_t i = 0; i < ids.size(); ++i) exchange(i);
  ASSERT_EQ(server.phase(), ServerPhase::kUnmasking);
  for (std::size_t i = 0; i < ids.size(); ++i) exchange(i);
  ASSERT_EQ(server.phase(), ServerPhase::kDone);

  // The sum, and nothing else: the weighted mean delta and the metric's sum.
  const auto mean = federated::decode_sum(config, server.context(), server.outcome().sum,
                                          server.outcome().survivors);
  ASSERT_TRUE(mean);
  EXPECT_EQ(mean->weight_sum, 100u);
  const double rounding = 3 * 1.0 / 1000.0;  // three clients, each within a step of the grid
  for (std::size_t j = 0; j < 5; ++j) {
    double expected = 0;
    for (std::size_t i = 0; i < 3; ++i) expected += double(deltas[i][j]) * examples[i] / 100.0;
    EXPECT_NEAR(mean->delta[j], expected, rounding) << j;
  }
  EXPECT_NEAR(mean->metric_sums[0], 4.0, 3 * 4.0 / 10000);

  // R5: the new model's hash goes out; clients forget the round.
  ASSERT_TRUE(server.publish(hash_of({as_bytes("the new model")})));
  for (std::size_t i = 0; i < ids.size(); ++i) exchange(i);
  for (const Client& client : clients) {
    EXPECT_EQ(client.phase(), ClientPhase::kDone);
    EXPECT_EQ(client.result().survivors, 3u);
    EXPECT_EQ(client.result().model_hash, hash_of({as_bytes("the new model")}));
  }
  EXPECT_TRUE(server.dropouts().empty());
}

class RoundOfEachKind : public testing::TestWithParam<std::tuple<Mode, Suite, std::uint32_t>> {};

TEST_P(RoundOfEachKind, GivesTheExactSum) {
  const auto& [mode, suite, bits] = GetParam();
  Config config = small_config(5);
  config.mode = mode;
  config.suite = suite;
  config.ring_bits = bits;
  World world(config, 5);
  world.run_until(ServerPhase::kDone);
  ASSERT_EQ(world.server.phase(), ServerPhase::kDone) << world.server.outcome().reason;
  EXPECT_EQ(world.server.outcome().sum, world.expected_sum([](std::size_t) { return true; }));
  EXPECT_EQ(world.server.outcome().survivors, 5u);
}

INSTANTIATE_TEST_SUITE_P(
    Round, RoundOfEachKind,
    testing::Combine(testing::Values(Mode::kSemiHonest, Mode::kSemiMalicious, Mode::kStrict),
                     testing::Values(Suite::kAes128Ctr, Suite::kAes256Ctr, Suite::kChaCha20),
                     testing::Values(8u, 16u, 26u, 62u)));

// Client i sends the i-th unit vector: a coordinate that is not exactly one names the client whose
// mask did not cancel or who was counted twice.
TEST(Round, UnitVectorsAddUpToOnes) {
  constexpr std::uint32_t kClients = 12;
  Config config = small_config(kClients);
  config.dimension = kClients;
  config.metrics = 0;
  World world(config, kClients);
  for (std::size_t i = 0; i < kClients; ++i) {
    world.inputs[i].assign(config.input_length(), 0);
    world.inputs[i][i] = 1;
  }
  world.run_until(ServerPhase::kDone);
  std::vector<std::uint64_t> ones(config.input_length(), 1);
  ones.back() = 0;  // the weight coordinate, unused here
  EXPECT_EQ(world.server.outcome().sum, ones);
}

TEST(Round, TheMaskedVectorTellsNothingOfTheInput) {
  Config config = small_config(3);
  config.dimension = 20000;
  config.ring_bits = 8;
  config.scale = 10;
  World world(config, 3);
  for (auto& input : world.inputs) input.assign(config.input_length(), 0);
  world.run_until(ServerPhase::kMasking);
  const Bytes message = world.exchange(0).value();
  std::vector<double> counts(256);
  const ByteSpan masked = open_envelope(message)->raw;
  for (const std::uint8_t byte : masked) ++counts[byte];
  const double expected = double(config.masked_length()) / 256;
  double chi_square = 0;
  for (const double c : counts) chi_square += (c - expected) * (c - expected) / expected;
  EXPECT_LT(chi_square, 347.7);  // 99.99 % quantile at 255 degrees of freedom
}

}  // namespace
}  // namespace inkling::secagg
