// Clients that do not keep to the protocol, and crashes of the server: what the round survives.

#include <gtest/gtest.h>

#include "tests/federated/round_world.h"

namespace inkling::secagg {
namespace {

constexpr std::uint32_t kClients = 6;  // t = 5

Config tolerant_config(Mode mode = Mode::kSemiHonest) {
  Config config = small_config(kClients);
  config.n_min = 3;
  config.delta_ppm = 500'000;
  config.mode = mode;
  return config;
}

Bytes from_client(const World& world, std::size_t index, MessageType type, const Bytes& body,
                  ByteSpan raw = {}) {
  return seal_envelope(type, world.server.context(), body, raw, world.identity_of(index).key);
}

void expect_rejected(World& world, std::size_t index, const Bytes& message, ErrorCode code) {
  const auto receipt = world.server.receive(client_id(index), message, kNow);
  ASSERT_FALSE(receipt);
  EXPECT_EQ(receipt.error().code, code) << receipt.error().message;
}

void expect_exact_sum(World& world) {
  world.run_until(ServerPhase::kDone);
  ASSERT_EQ(world.server.phase(), ServerPhase::kDone) << world.server.outcome().reason;
  EXPECT_EQ(world.server.outcome().sum, world.expected_sum([](std::size_t) { return true; }));
}

TEST(Server, AcknowledgesDuplicatesAndRejectsASecondAnswer) {
  World world(tolerant_config(), kClients);
  const Bytes first = world.exchange(0).value();
  EXPECT_TRUE(world.server.receive(client_id(0), first, kNow)->duplicate);
  Client second = world.make_client(0);  // fresh keys
  const Bytes other = second.receive(world.server.outgoing(client_id(0)).value(), kNow)->to_send;
  ASSERT_NE(other, first);
  expect_rejected(world, 0, other, ErrorCode::kProtocol);
  expect_exact_sum(world);
}

TEST(Server, RejectsAdvertisersItCannotTrust) {
  World world(tolerant_config(), kClients);
  const Bytes true_message = world.exchange(0).value();
  expect_rejected(world, 1, true_message, ErrorCode::kVerification);  // another's certificate
  Advertise advertise = decode_advertise(open_envelope(true_message)->body).value();
  advertise.certificate = world.identity_of(1).certificate;
  expect_rejected(world, 1,
                  from_client(world, 1, MessageType::kAdvertise, encode_advertise(advertise)),
                  ErrorCode::kProtocol);  // client 0's keys
  advertise.c_pk = {};                    // a low-order point
  expect_rejected(world, 1,
                  from_client(world, 1, MessageType::kAdvertise, encode_advertise(advertise)),
                  ErrorCode::kVerification);
  const Bytes honest =
      world.clients[1].receive(world.server.outgoing(client_id(1)).value(), kNow).value().to_send;
  EXPECT_FALSE(world.server.receive(client_id(1), honest, kExpiry + 1));
  advertise = decode_advertise(open_envelope(honest)->body).value();
  advertise.s_pk = advertise.c_pk;
  expect_rejected(world, 1,
                  from_client(world, 1, MessageType::kAdvertise, encode_advertise(advertise)),
                  ErrorCode::kProtocol);
  advertise.certificate.signature[0] ^= 1;
  expect_rejected(world, 1,
                  from_client(world, 1, MessageType::kAdvertise, encode_advertise(advertise)),
                  ErrorCode::kVerification);
  world.clients[1].set_input(world.inputs[1]).value();
  EXPECT_TRUE(world.server.receive(client_id(1), honest, kNow));
  expect_exact_sum(world);
}

TEST(Server, RejectsMessagesOutOfPhaseAndOfStrangers) {
  World world(tolerant_config(), kClients);
  expect_rejected(world, 0, from_client(world, 0, MessageType::kMasked, encode_masked({})),
                  ErrorCode::kFailedPrecondition);
  world.run_until(ServerPhase::kSharing);
  expect_rejected(world, 50, from_client(world, 50, MessageType::kShares, encode_shares({})),
                  ErrorCode::kNotFound);
  expect_rejected(world, 0, from_client(world, 0, MessageType::kOffer, {1, 2}),
                  ErrorCode::kFailedPrecondition);
  expect_exact_sum(world);
}

TEST(Server, RejectsSharesThatAreNotOnePerNeighbour) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kSharing);
  const Bytes honest =
      world.clients[0].receive(world.server.outgoing(client_id(0)).value(), kNow).value().to_send;
  const Shares truth = decode_shares(open_envelope(honest)->body).value();
  const auto reject = [&](const Shares& shares) {
    expect_rejected(world, 0, from_client(world, 0, MessageType::kShares, encode_shares(shares)),
                    ErrorCode::kProtocol);
  };
  Shares shares = truth;
  shares.boxes.pop_back();
  reject(shares);
  shares = truth;
  std::swap(shares.boxes[0], shares.boxes[1]);
  reject(shares);
  shares = truth;
  shares.boxes[0].peer = 0;  // to itself
  reject(shares);
  EXPECT_TRUE(world.server.receive(client_id(0), honest, kNow));
  expect_exact_sum(world);
}

TEST(Server, RejectsMaskedVectorsThatDoNotFit) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kMasking);
  const Bytes honest =
      world.clients[0].receive(world.server.outgoing(client_id(0)).value(), kNow).value().to_send;
  const ByteSpan true_raw = open_envelope(honest)->raw;
  const Bytes raw(true_raw.begin(), true_raw.end());
  const auto masked = [&](const Bytes& vector) {
    return from_client(world, 0, MessageType::kMasked, encode_masked({.digest = hash_of({vector})}),
                       vector);
  };
  Bytes longer = raw;
  longer.push_back(0);
  expect_rejected(world, 0, masked(longer), ErrorCode::kCorrupt);
  expect_rejected(world, 0, masked({raw.begin(), raw.end() - 1}), ErrorCode::kCorrupt);
  expect_rejected(world, 0,
                  from_client(world, 0, MessageType::kMasked, encode_masked({.digest = {1}}), raw),
                  ErrorCode::kCorrupt);
  EXPECT_TRUE(world.server.receive(client_id(0), honest, kNow));
  Bytes changed = honest;
  changed.back() ^= 1;
  expect_rejected(world, 0, changed, ErrorCode::kProtocol);
  EXPECT_TRUE(world.server.receive(client_id(0), honest, kNow)->duplicate);
  expect_exact_sum(world);
}

TEST(Server, NamesTheClientThatGaveAWrongShare) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kUnmasking);
  const Bytes honest =
      world.clients[0].receive(world.server.outgoing(client_id(0)).value(), kNow).value().to_send;
  Unmask lie = decode_unmask(open_envelope(honest)->body).value();
  lie.shares[3].share[0] ^= 1;
  ASSERT_TRUE(world.server.receive(
      client_id(0), from_client(world, 0, MessageType::kUnmask, encode_unmask(lie)), kNow));
  world.run_phase([](std::size_t i) { return i != 0; });
  ASSERT_EQ(world.server.phase(), ServerPhase::kDone) << world.server.outcome().reason;
  EXPECT_EQ(world.server.outcome().sum, world.expected_sum([](std::size_t) { return true; }));
  EXPECT_EQ(world.server.outcome().liars, std::vector<ClientId>{client_id(0)});
}

TEST(Server, AbortsWhenLiesLeaveTooFewGoodShares) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kUnmasking);
  for (const std::size_t liar : {0, 1}) {
    const Bytes honest = world.clients[liar]
                             .receive(world.server.outgoing(client_id(liar)).value(), kNow)
                             .value()
                             .to_send;
    Unmask lie = decode_unmask(open_envelope(honest)->body).value();
    lie.shares[3].share[0] ^= 1;
    ASSERT_TRUE(world.server.receive(
        client_id(liar), from_client(world, liar, MessageType::kUnmask, encode_unmask(lie)), kNow));
  }
  world.run_phase([](std::size_t i) { return i > 1; });
  EXPECT_EQ(world.server.phase(), ServerPhase::kAborted);
  EXPECT_EQ(world.server.outcome().code, RoundCode::kUnrecoverable);
  EXPECT_TRUE(world.server.outcome().sum.empty());
  ASSERT_TRUE(world.exchange(4));  // clients are told
  EXPECT_EQ(world.clients[4].result().code, RoundCode::kUnrecoverable);
}

TEST(Server, RejectsUnmaskingsItDidNotAskFor) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kMasking);
  world.run_phase([](std::size_t i) { return i != 5; });
  ASSERT_EQ(world.server.phase(), ServerPhase::kUnmasking);
  const Bytes honest =
      world.clients[0].receive(world.server.outgoing(client_id(0)).value(), kNow).value().to_send;
  const Unmask truth = decode_unmask(open_envelope(honest)->body).value();
  const auto reject = [&](const Unmask& unmask, ErrorCode code) {
    expect_rejected(world, 0, from_client(world, 0, MessageType::kUnmask, encode_unmask(unmask)),
                    code);
  };
  Unmask unmask = truth;
  EXPECT_EQ(unmask.shares[5].kind, ShareKind::kPairKey);
  unmask.shares[5].kind = ShareKind::kSelfMask;
  reject(unmask, ErrorCode::kProtocol);
  unmask = truth;
  unmask.shares.pop_back();
  reject(unmask, ErrorCode::kProtocol);
  unmask = truth;
  unmask.shares[1] = unmask.shares[0];
  reject(unmask, ErrorCode::kProtocol);
  unmask = truth;
  unmask.shares[2].share.fill(0xff);
  reject(unmask, ErrorCode::kCorrupt);
  expect_rejected(world, 5, from_client(world, 5, MessageType::kUnmask, encode_unmask(truth)),
                  ErrorCode::kProtocol);
  EXPECT_TRUE(world.server.receive(client_id(0), honest, kNow));
  world.run_until(ServerPhase::kDone);
  EXPECT_EQ(world.server.outcome().sum, world.expected_sum([](std::size_t i) { return i != 5; }));
}

// A client that adds a mask nobody takes away, or counts itself twice: the count tells.
TEST(Server, RejectsASumWhoseCountIsWrong) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kMasking);
  const Bytes honest =
      world.clients[0].receive(world.server.outgoing(client_id(0)).value(), kNow).value().to_send;
  const ByteSpan raw = open_envelope(honest)->raw;
  MaskedSum sum(world.config.ring_bits, world.config.masked_length());
  ASSERT_TRUE(sum.add_packed(raw));
  std::vector<std::uint64_t> more(world.config.masked_length());
  more.back() = 1;
  ASSERT_TRUE(sum.add_values(more));
  const Bytes packed = sum.packed();
  ASSERT_TRUE(
      world.server.receive(client_id(0),
                           from_client(world, 0, MessageType::kMasked,
                                       encode_masked({.digest = hash_of({packed})}), packed),
                           kNow));
  world.run_phase([](std::size_t i) { return i != 0; });
  ASSERT_EQ(world.server.phase(), ServerPhase::kUnmasking);
  world.run_phase();
  EXPECT_EQ(world.server.phase(), ServerPhase::kAborted);
  EXPECT_EQ(world.server.outcome().code, RoundCode::kCountMismatch);
}

TEST(Server, ClosesPhasesByDeadlineAndFinishesEarlyOnDemand) {
  Config config = tolerant_config();
  config.n_max = 50;
  config.phase_ms = {10, 20, 30, 40, 50};
  World world(config, kClients);
  for (std::size_t i = 0; i < kClients; ++i) ASSERT_TRUE(world.exchange(i));
  EXPECT_EQ(world.server.answered(), kClients);
  EXPECT_TRUE(world.server.tick(kNow + 9).empty());
  EXPECT_EQ(world.server.phase(), ServerPhase::kAdvertising);
  EXPECT_FALSE(world.server.tick(kNow + 10).empty());
  EXPECT_EQ(world.server.phase(), ServerPhase::kSharing);
  EXPECT_EQ(world.server.deadline_ms(), kNow + 30);
  world.run_until(ServerPhase::kUnmasking);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_FALSE(world.server.can_close());
    ASSERT_TRUE(world.exchange(i));
  }
  EXPECT_TRUE(world.server.can_close());
  world.server.close_phase(kNow);
  EXPECT_EQ(world.server.phase(), ServerPhase::kDone);
  EXPECT_TRUE(world.server.tick(kNow + 100000).empty());
}

TEST(Server, CancelTellsTheClients) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kMasking);
  EXPECT_FALSE(world.server.cancel(kNow).empty());
  EXPECT_TRUE(world.server.cancel(kNow).empty());
  ASSERT_TRUE(world.exchange(0));
  EXPECT_EQ(world.clients[0].phase(), ClientPhase::kDone);
  EXPECT_EQ(world.clients[0].result().code, RoundCode::kCancelled);
  EXPECT_FALSE(world.server.publish(Hash{}));
}

class ServerCrash : public testing::TestWithParam<Mode> {};

// The server dies after every single record; its successor replays the journal, and every client
// sees the same bytes as before.
TEST_P(ServerCrash, ASuccessorStandsWhereTheJournalEnds) {
  World world(tolerant_config(GetParam()), kClients);
  std::size_t seen = 0;
  const auto restart = [&] {
    if (world.journal.size() == seen) return;
    seen = world.journal.size();
    Server successor = Server::create(world.server_setup(), kNow).value();
    for (const Bytes& record : world.journal) {
      const auto status = successor.replay(record);
      ASSERT_TRUE(status) << status.error().message;
    }
    ASSERT_EQ(successor.phase(), world.server.phase());
    for (std::size_t i = 0; i < kClients; ++i) {
      const auto before = world.server.outgoing(client_id(i));
      const auto after = successor.outgoing(client_id(i));
      ASSERT_EQ(before.has_value(), after.has_value());
      ASSERT_EQ(before.value_or(Bytes()), after.value_or(Bytes()));
    }
    world.server = std::move(successor);
  };
  while (world.server.phase() < ServerPhase::kDone) {
    const ServerPhase phase = world.server.phase();
    for (std::size_t i = 0; i < kClients && world.server.phase() == phase; ++i) {
      if (i == 2 && phase >= ServerPhase::kMasking) continue;  // one drop-out
      ASSERT_TRUE(world.exchange(i));
      restart();
    }
    if (world.server.phase() == phase) world.journal.push_back(world.server.close_phase(kNow));
    restart();
  }
  ASSERT_EQ(world.server.phase(), ServerPhase::kDone) << world.server.outcome().reason;
  EXPECT_EQ(world.server.outcome().sum, world.expected_sum([](std::size_t i) { return i != 2; }));
  world.journal.push_back(world.server.publish(Hash{5}).value());
  restart();
}

INSTANTIATE_TEST_SUITE_P(Server, ServerCrash, testing::Values(Mode::kSemiHonest, Mode::kStrict));

TEST(Server, RefusesAJournalThatIsNotItsOwn) {
  World world(tolerant_config(), kClients);
  world.run_until(ServerPhase::kSharing);
  Server fresh = Server::create(world.server_setup(), kNow).value();
  EXPECT_FALSE(fresh.replay({}));
  EXPECT_FALSE(fresh.replay(Bytes(25, 9)));
  Bytes changed = world.journal[0];
  changed.back() ^= 1;
  EXPECT_FALSE(fresh.replay(changed));
  EXPECT_TRUE(fresh.replay(world.journal[0]));
}

TEST(Server, RefusesAConfigOutOfRange) {
  World world(tolerant_config(), kClients);
  ServerSetup setup = world.server_setup();
  setup.config.ring_bits = 63;
  EXPECT_FALSE(Server::create(std::move(setup), kNow));
}

}  // namespace
}  // namespace inkling::secagg
