// A server that does not keep to the protocol, and certificates that do not hold: what a client
// refuses. The forged messages are signed with the server's true key.

#include <gtest/gtest.h>

#include "tests/federated/round_world.h"

namespace inkling::secagg {
namespace {

constexpr std::uint32_t kClients = 5;

Config tolerant_config(Mode mode = Mode::kSemiHonest) {
  Config config = small_config(kClients);
  config.n_min = 3;
  config.delta_ppm = 500'000;
  config.mode = mode;
  return config;
}

Bytes forge(const World& world, MessageType type, const Bytes& body) {
  return seal_envelope(type, world.server.context(), body, {}, world.server_setup().server.key);
}

void expect_refused(Client& client, const Bytes& message, ErrorCode code, ClientPhase phase) {
  const auto reply = client.receive(message, kNow);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, code) << reply.error().message;
  EXPECT_EQ(client.phase(), phase) << reply.error().message;
}

Result<Reply> offered(const World& world, const ClientTask& task, const Policy& policy,
                      std::int64_t now_ms = kNow) {
  TestEntropy entropy(3);
  Client client = Client::create(task, world.identity_of(0), world.authority, policy, entropy);
  return client.receive(world.server.outgoing(client_id(0)).value(), now_ms);
}

TEST(ClientRefuses, OffersThatAreNotForIt) {
  const World world(tolerant_config(), kClients);
  const ClientTask task{.task = world.round.task,
                        .plan_hash = world.round.plan_hash,
                        .model_hash = world.round.model_hash,
                        .last = {.round = 7, .attempt = 0}};
  EXPECT_TRUE(offered(world, task, Policy{}));
  ClientTask other = task;
  other.task[0] ^= 1;
  EXPECT_FALSE(offered(world, other, Policy{}));
  other = task;
  other.plan_hash[0] ^= 1;
  EXPECT_FALSE(offered(world, other, Policy{}));
  other = task;
  other.model_hash[0] ^= 1;
  EXPECT_FALSE(offered(world, other, Policy{}));
  other = task;
  other.last = world.round.attempt;  // a replay
  EXPECT_FALSE(offered(world, other, Policy{}));
  other.last = {.round = 8, .attempt = 0};
  EXPECT_FALSE(offered(world, other, Policy{}));
  EXPECT_FALSE(offered(world, task, Policy{}, kExpiry + 1));
}

TEST(ClientRefuses, OffersBelowTheAppsFloor) {
  const World world(tolerant_config(), kClients);
  const ClientTask task{.task = world.round.task,
                        .plan_hash = world.round.plan_hash,
                        .model_hash = world.round.model_hash,
                        .last = {}};
  EXPECT_TRUE(offered(world, task, Policy{.n_min = 3}));
  EXPECT_FALSE(offered(world, task, Policy{.n_min = 4}));
  EXPECT_FALSE(offered(world, task, Policy{.gamma_ppm_min = 1}));
  EXPECT_FALSE(offered(world, task, Policy{.weakest_mode = Mode::kStrict}));
}

TEST(ClientRefuses, AServerThatTheAuthorityDidNotCertify) {
  World world(tolerant_config(), kClients);
  ServerSetup setup = world.server_setup();
  setup.server.certificate.signature[0] ^= 1;
  const Server server = Server::create(std::move(setup), kNow).value();
  expect_refused(world.clients[0], server.outgoing(client_id(0)).value(), ErrorCode::kVerification,
                 ClientPhase::kIdle);
  ServerSetup impostor = world.server_setup();  // a client's certificate is no server's
  impostor.server = world.identity_of(1);
  const Server other = Server::create(std::move(impostor), kNow).value();
  expect_refused(world.clients[0], other.outgoing(client_id(0)).value(), ErrorCode::kVerification,
                 ClientPhase::kIdle);
}

RosterMessage true_roster(World& world) {
  world.run_until(ServerPhase::kSharing);
  const Bytes message = world.server.outgoing(client_id(0)).value();
  return decode_roster(open_envelope(message)->body).value();
}

Bytes forge_roster(const World& world, RosterMessage roster, bool rehash = true) {
  if (rehash) roster.roster_hash = roster_hash_of(world.server.context(), roster.rows);
  if (const auto shape = graph_shape(std::uint32_t(roster.rows.size()), world.config);
      shape && rehash) {
    roster.shape = *shape;
  }
  return forge(world, MessageType::kRoster, encode_roster(roster));
}

TEST(ClientRefuses, RostersThatAreNotAllTrue) {
  World world(tolerant_config(), kClients);
  const RosterMessage truth = true_roster(world);
  RosterMessage roster = truth;
  roster.rows.erase(roster.rows.begin());  // without client 0
  expect_refused(world.clients[0], forge_roster(world, roster), ErrorCode::kProtocol,
                 ClientPhase::kAborted);
  roster = truth;
  roster.rows[2] = roster.rows[3];  // one client twice
  expect_refused(world.clients[1], forge_roster(world, roster), ErrorCode::kProtocol,
                 ClientPhase::kAborted);
  roster = truth;
  Advertise substituted = decode_advertise(roster.rows[4].advertise).value();
  substituted.s_pk[0] ^= 1;  // a key of the server's choice
  roster.rows[4].advertise = encode_advertise(substituted);
  expect_refused(world.clients[2], forge_roster(world, roster), ErrorCode::kVerification,
                 ClientPhase::kAborted);
  roster = truth;
  roster.rows.resize(2);  // below n_min
  expect_refused(world.clients[3], forge_roster(world, roster), ErrorCode::kProtocol,
                 ClientPhase::kAborted);
  roster = truth;
  roster.shape.threshold -= 1;
  expect_refused(world.clients[4], forge_roster(world, roster, false), ErrorCode::kProtocol,
                 ClientPhase::kAborted);
}

TEST(ClientRefuses, ARosterWithAnOtherHash) {
  World world(tolerant_config(), kClients);
  RosterMessage roster = true_roster(world);
  roster.roster_hash[0] ^= 1;
  expect_refused(world.clients[0], forge_roster(world, roster, false), ErrorCode::kProtocol,
                 ClientPhase::kAborted);
}

// The server gives one client another model: its keys are signed for another context, so nobody
// takes them into a roster.
TEST(ClientRefuses, ARosterWithAClientOfAnotherModel) {
  World world(tolerant_config(), kClients), other(tolerant_config(), kClients);
  other.round.model_hash = hash_of({as_bytes("another model")});
  other.server = Server::create(other.server_setup(), kNow).value();
  for (std::size_t i = 0; i < kClients; ++i) other.clients[i] = other.make_client(i);
  RosterMessage roster = true_roster(world);
  roster.rows[3] = true_roster(other).rows[3];
  expect_refused(world.clients[0], forge_roster(world, roster), ErrorCode::kVerification,
                 ClientPhase::kAborted);
  // And a message of the other context is not even looked at.
  expect_refused(world.clients[1], other.server.outgoing(client_id(1)).value(),
                 ErrorCode::kProtocol, ClientPhase::kAdvertised);
}

Inbox true_inbox(World& world, std::size_t index) {
  world.run_until(ServerPhase::kMasking);
  const Bytes message = world.server.outgoing(client_id(index)).value();
  return decode_inbox(open_envelope(message)->body).value();
}

TEST(ClientRefuses, InboxesThatDoNotOpenOrDoNotFit) {
  World world(tolerant_config(), kClients);
  std::vector<Inbox> inboxes;
  for (std::size_t i = 0; i < kClients; ++i) inboxes.push_back(true_inbox(world, i));
  inboxes[0].boxes[1].box[7] ^= 1;
  expect_refused(world.clients[0], forge(world, MessageType::kInbox, encode_inbox(inboxes[0])),
                 ErrorCode::kVerification, ClientPhase::kAborted);
  inboxes[1].boxes[0].box = true_inbox(world, 2).boxes[0].box;  // meant for client 2
  expect_refused(world.clients[1], forge(world, MessageType::kInbox, encode_inbox(inboxes[1])),
                 ErrorCode::kVerification, ClientPhase::kAborted);
  inboxes[2].boxes.pop_back();
  expect_refused(world.clients[2], forge(world, MessageType::kInbox, encode_inbox(inboxes[2])),
                 ErrorCode::kProtocol, ClientPhase::kAborted);
  ClientSet few(kClients);  // fewer than t holders
  few.insert(3);
  few.insert(0);
  few.insert(1);
  inboxes[3].present = few.bytes();
  inboxes[3].boxes.resize(2);
  expect_refused(world.clients[3], forge(world, MessageType::kInbox, encode_inbox(inboxes[3])),
                 ErrorCode::kProtocol, ClientPhase::kAborted);
  ClientSet without(kClients);
  for (const std::uint32_t i : {0u, 1u, 2u, 3u}) without.insert(i);
  inboxes[4].present = without.bytes();
  expect_refused(world.clients[4], forge(world, MessageType::kInbox, encode_inbox(inboxes[4])),
                 ErrorCode::kProtocol, ClientPhase::kAborted);
}

Bytes survivors_without(const World& world, std::vector<std::uint32_t> gone) {
  ClientSet set(kClients);
  for (std::uint32_t i = 0; i < kClients; ++i) {
    if (std::count(gone.begin(), gone.end(), i) == 0) set.insert(i);
  }
  return forge(world, MessageType::kSurvivors, encode_survivors({.survivors = set.bytes()}));
}

TEST(ClientRefuses, ASecondSurvivorList) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kUnmasking);
  Client& client = world.clients[0];
  const Bytes asked = world.server.outgoing(client_id(0)).value();
  const auto first = client.receive(asked, kNow);
  ASSERT_TRUE(first);
  expect_refused(client, survivors_without(world, {3}), ErrorCode::kProtocol,
                 ClientPhase::kUnmasked);
  const auto again = client.receive(asked, kNow);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->to_send, first->to_send);
  // Nor after a crash.
  TestEntropy entropy(1);
  const ClientTask task{.task = world.round.task,
                        .plan_hash = world.round.plan_hash,
                        .model_hash = world.round.model_hash,
                        .last = {}};
  Client restored =
      Client::restore(first->record, task, world.identity_of(0), world.authority, Policy{}, entropy)
          .value();
  expect_refused(restored, survivors_without(world, {3}), ErrorCode::kProtocol,
                 ClientPhase::kUnmasked);
  EXPECT_EQ(restored.receive(asked, kNow)->to_send, first->to_send);
}

TEST(ClientRefuses, SurvivorSetsThatWouldExposeSomebody) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kUnmasking);
  expect_refused(world.clients[0], survivors_without(world, {0}), ErrorCode::kProtocol,
                 ClientPhase::kAborted);  // without this client
  expect_refused(world.clients[1], survivors_without(world, {3, 4}), ErrorCode::kProtocol,
                 ClientPhase::kAborted);  // three holders, t is four
  expect_refused(world.clients[2], survivors_without(world, {0, 3, 4}), ErrorCode::kProtocol,
                 ClientPhase::kAborted);  // below n_min
  // Refusing wiped the secrets: nothing of them is left to be saved.
  const auto record = decode_state(world.clients[2].save()).value();
  EXPECT_TRUE(record.seed.equals(Secret<32>()));
  EXPECT_TRUE(record.s_secret.equals(Secret<32>()));
  EXPECT_TRUE(record.held.empty());
  expect_refused(world.clients[2], world.server.outgoing(client_id(2)).value(),
                 ErrorCode::kFailedPrecondition, ClientPhase::kAborted);
}

TEST(ClientRefuses, SurvivorsWhoNeverShared) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kSharing);
  world.run_phase([](std::size_t i) { return i != 4; });
  world.run_until(ServerPhase::kUnmasking);
  expect_refused(world.clients[0], survivors_without(world, {}), ErrorCode::kProtocol,
                 ClientPhase::kAborted);
}

Confirmations confirmations_of(const World& world, const Bytes& survivors,
                               const std::vector<std::uint32_t>& signers) {
  Confirmations out;
  for (const std::uint32_t i : signers) {
    out.signatures.push_back({.client = i,
                              .signature = world.identity_of(i).key.sign(
                                  survivors_statement(world.server.context(), survivors))});
  }
  return out;
}

TEST(ClientRefuses, ConfirmationsThatAreTooFewOrOfAnotherSet) {
  World world(tolerant_config(Mode::kStrict), kClients);
  world.run_until(ServerPhase::kConfirming);
  for (std::size_t i = 0; i < kClients; ++i) {
    world.clients[i].receive(world.server.outgoing(client_id(i)).value(), kNow).value();
  }
  ClientSet all(kClients), fewer(kClients);
  for (std::uint32_t i = 0; i < kClients; ++i) all.insert(i);
  for (std::uint32_t i = 0; i < 4; ++i) fewer.insert(i);
  const auto refuse = [&](std::size_t i, const Confirmations& confirmations, ErrorCode code) {
    expect_refused(world.clients[i],
                   forge(world, MessageType::kConfirmations, encode_confirmations(confirmations)),
                   code, ClientPhase::kAborted);
  };
  refuse(0, confirmations_of(world, all.bytes(), {0, 1, 2}), ErrorCode::kProtocol);
  refuse(1, confirmations_of(world, fewer.bytes(), {0, 1, 2, 3}), ErrorCode::kVerification);
  refuse(2, confirmations_of(world, all.bytes(), {0, 1, 2, 2}), ErrorCode::kProtocol);
  refuse(3, confirmations_of(world, all.bytes(), {0, 1, 2, 3, 4, 5}), ErrorCode::kProtocol);
  const Bytes enough =
      forge(world, MessageType::kConfirmations,
            encode_confirmations(confirmations_of(world, all.bytes(), {0, 1, 2, 4})));
  EXPECT_TRUE(world.clients[4].receive(enough, kNow));
}

TEST(ClientRefuses, BadInput) {
  World world(small_config(2), 2);
  Client& client = world.clients[0];
  EXPECT_FALSE(client.set_input(world.inputs[0]));  // before the offer
  client.receive(world.server.outgoing(client_id(0)).value(), kNow).value();
  auto input = world.inputs[0];
  input.push_back(0);
  EXPECT_FALSE(client.set_input(input));
  input.pop_back();
  input[0] = world.config.ring_mask() + 1;
  EXPECT_FALSE(client.set_input(input));
  input[0] = world.config.ring_mask();
  EXPECT_TRUE(client.set_input(input));
}

TEST(ClientRefuses, ToMakeKeysWithoutEntropy) {
  World world(small_config(2), 2);
  world.entropy[0].fail_from_now_on();
  const auto reply = world.clients[0].receive(world.server.outgoing(client_id(0)).value(), kNow);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kIo);
  EXPECT_EQ(world.clients[0].phase(), ClientPhase::kIdle);
}

}  // namespace
}  // namespace inkling::secagg
