#include "federated/secagg/messages.h"

#include <gtest/gtest.h>

#include "federated/secagg/envelope.h"
#include "tests/federated/round_world.h"

namespace inkling::secagg {
namespace {

// Feeds every message of a round with one bit of each byte changed, then as it was.
TEST(Messages, AChangedBitAnywhereIsRejectedAndTheRoundGoesOn) {
  Config config = small_config(3);
  config.mode = Mode::kStrict;
  World world(config, 3);
  Rng rng(1, "bits");
  std::size_t rejected = 0;
  const auto attack = [&](const Bytes& message, const auto& receive) {
    for (std::size_t i = 0; i < message.size(); ++i) {
      Bytes changed = message;
      changed[i] ^= static_cast<std::uint8_t>(1u << rng.below(8));
      const auto result = receive(changed);
      ASSERT_FALSE(result) << "byte " << i << " of " << message.size();
      ASSERT_FALSE(result.error().message.empty());
      ++rejected;
    }
    Bytes longer = message;
    longer.push_back(0);
    ASSERT_FALSE(receive(longer));
    for (std::size_t size = 0; size < message.size(); size += 7) {
      ASSERT_FALSE(receive(Bytes(message.begin(), message.begin() + std::ptrdiff_t(size))));
    }
  };
  bool published = false;
  while (!published) {
    for (std::size_t i = 0; i < 3; ++i) {
      const Bytes out = world.server.outgoing(client_id(i)).value();
      Client& client = world.clients[i];
      const Attempt before = client.attempt();
      if (i == 0) attack(out, [&](const Bytes& m) { return client.receive(m, kNow); });
      ASSERT_EQ(client.attempt(), before);
      const bool offer = client.phase() == ClientPhase::kIdle;
      const Bytes answer = client.receive(out, kNow).value().to_send;
      if (offer) client.set_input(world.inputs[i]).value();
      if (answer.empty()) {
        published = true;
        continue;
      }
      if (i == 0) {
        attack(answer, [&](const Bytes& m) { return world.server.receive(client_id(i), m, kNow); });
      }
      ASSERT_TRUE(world.server.receive(client_id(i), answer, kNow));
    }
    if (world.server.phase() == ServerPhase::kDone && !published) {
      ASSERT_TRUE(world.server.publish(Hash{1}));
    }
  }
  EXPECT_EQ(world.server.outcome().sum, world.expected_sum([](std::size_t) { return true; }));
  EXPECT_EQ(world.clients[0].phase(), ClientPhase::kDone);
  EXPECT_GT(rejected, 3000u);
}

template <typename Message, typename Encode, typename Decode>
void expect_round_trip(const Message& message, const Encode& encode, const Decode& decode) {
  const Bytes body = encode(message);
  const auto back = decode(body);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(encode(*back), body);
  Bytes longer = body;
  longer.resize(body.size() + 4);
  EXPECT_FALSE(decode(longer));
  for (std::size_t size = 0; size < body.size(); ++size) {
    const Bytes cut(body.begin(), body.begin() + std::ptrdiff_t(size));
    EXPECT_FALSE(decode(cut)) << size;
  }
}

TEST(Messages, BodiesRoundTripAndAllowNothingMore) {
  World world(small_config(2), 2);
  const Certificate certificate = world.identity_of(0).certificate;
  const Advertise advertise{
      .certificate = certificate, .c_pk = {1}, .s_pk = {2}, .commitment = {3}};
  SealedShare box{.peer = 5, .box = {}};
  box.box.fill(0xab);
  ReleasedShare share{.owner = 4, .kind = ShareKind::kPairKey, .share = {7}};
  RosterMessage roster{
      .rows = {{encode_advertise(advertise), {1}}, {encode_advertise(advertise), {2}}},
      .shape = {1, 2},
      .roster_hash = {9}};
  expect_round_trip(Offer{encode_config(world.config), world.round, certificate}, encode_offer,
                    decode_offer);
  expect_round_trip(advertise, encode_advertise, decode_advertise);
  expect_round_trip(roster, encode_roster, decode_roster);
  expect_round_trip(Shares{{box, box}}, encode_shares, decode_shares);
  expect_round_trip(Inbox{{3}, {box}}, encode_inbox, decode_inbox);
  expect_round_trip(Masked{{5}}, encode_masked, decode_masked);
  expect_round_trip(Survivors{{3, 1}}, encode_survivors, decode_survivors);
  expect_round_trip(Confirm{{5}}, encode_confirm, decode_confirm);
  expect_round_trip(Confirmations{{{1, {2}}, {3, {4}}}}, encode_confirmations,
                    decode_confirmations);
  expect_round_trip(Unmask{{share, share}}, encode_unmask, decode_unmask);
  expect_round_trip(RoundResult{RoundCode::kUnrecoverable, 5, {6}}, encode_result, decode_result);
}

TEST(Messages, CountsAreLimited) {
  Shares shares;
  shares.boxes.resize(kCohortMax);
  EXPECT_TRUE(decode_shares(encode_shares(shares)));
  shares.boxes.resize(kCohortMax + 1);
  EXPECT_FALSE(decode_shares(encode_shares(shares)));
  RosterMessage roster;
  roster.rows.resize(kCohortMax);
  EXPECT_TRUE(decode_roster(encode_roster(roster)));
  roster.rows.resize(kCohortMax + 1);
  EXPECT_FALSE(decode_roster(encode_roster(roster)));
  Unmask unmask;
  unmask.shares.push_back({.owner = 1, .kind = static_cast<ShareKind>(3), .share = {}});
  EXPECT_FALSE(decode_unmask(encode_unmask(unmask)));
}

TEST(ClientSet, TravelsOnlyInItsOneForm) {
  ClientSet set(11);
  set.insert(0);
  set.insert(10);
  EXPECT_EQ(set.count(), 2u);
  EXPECT_EQ(to_hex(set.bytes()), "0104");
  EXPECT_EQ(*ClientSet::from_bytes(set.bytes(), 11), set);
  EXPECT_FALSE(ClientSet::from_bytes(set.bytes(), 10));  // client 10 would be a pad bit
  EXPECT_FALSE(ClientSet::from_bytes(set.bytes(), 17));
  EXPECT_FALSE(set.contains(11));
  ClientSet other(11);
  EXPECT_TRUE(other.subset_of(set));
  EXPECT_FALSE(set.subset_of(other));
}

}  // namespace
}  // namespace inkling::secagg
