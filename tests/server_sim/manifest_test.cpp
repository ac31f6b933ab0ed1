// Which model a device takes for the newest: what a manifest must say, and what devices remember.

#include "federated/manifest.h"

#include <gtest/gtest.h>

#include "federated/task.h"
#include "tests/server_sim/task_world.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using federated::check_model;
using federated::Manifest;
using federated::ModelTrust;
using federated::open_manifest;

constexpr std::int64_t kNow = 1'700'000'000'000;
constexpr std::size_t kDevices = 4;
const secagg::TaskId kTask = {4, 2};

secagg::Identity server_identity() {
  return make_identity(task_authority(), secagg::Role::kServer, {0, 255});
}

TEST(Manifest, ComesBackAsItWasSignedUntilItExpires) {
  const Bytes model(100, 7);
  const Manifest manifest = federated::describe_model(kTask, 3, kNow + 1000, model);
  const Bytes bytes = federated::sign_manifest(manifest, server_identity());
  const secagg::PublicKey authority = task_authority().public_key();
  EXPECT_EQ(open_manifest(bytes, authority, kNow).value(), manifest);
  EXPECT_TRUE(open_manifest(bytes, authority, kNow + 1000));
  const auto expired = open_manifest(bytes, authority, kNow + 1001);
  ASSERT_FALSE(expired);
  EXPECT_EQ(expired.error().code, ErrorCode::kVerification);
  EXPECT_NE(expired.error().message.find("expired"), std::string::npos) << expired.error().message;
}

TEST(Manifest, IsRefusedWithAnyBitFlippedAndAtAnyOtherSize) {
  const secagg::PublicKey authority = task_authority().public_key();
  const Bytes good = federated::sign_manifest(
      federated::describe_model(kTask, 3, kNow + 1000, Bytes(100, 7)), server_identity());
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
    const auto refused = open_manifest(bad, authority, kNow);
    ASSERT_FALSE(refused) << "bit " << bit;
    EXPECT_EQ(refused.error().code, bit < 64 ? ErrorCode::kCorrupt : ErrorCode::kVerification);
  }
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(open_manifest(ByteSpan(good).first(size), authority, kNow)) << size;
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(open_manifest(longer, authority, kNow));
}

TEST(Manifest, IsSignedByACertifiedServerAndNobodyElse) {
  const secagg::PublicKey authority = task_authority().public_key();
  const Manifest manifest = federated::describe_model(kTask, 3, kNow + 1000, Bytes(100, 7));
  const auto stranger = secagg::SigningKey::from_seed(
      secagg::Secret<32>::copy_of(secagg::hash_of({as_bytes("another authority")})));
  secagg::Identity borrowed = server_identity();  // the certificate of one, the key of another
  borrowed.key = make_identity(task_authority(), secagg::Role::kServer, {0, 254}).key;
  const Bytes signed_by[] = {
      federated::sign_manifest(manifest, make_identity(stranger, secagg::Role::kServer, {0, 255})),
      federated::sign_manifest(
          manifest, make_identity(task_authority(), secagg::Role::kClient, device_id(0))),
      federated::sign_manifest(manifest, borrowed)};
  for (const Bytes& bytes : signed_by) {
    const auto refused = open_manifest(bytes, authority, kNow);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kVerification);
  }
}

TEST(Manifest, GoesForwardOnlyAndWithItsVeryModel) {
  const Bytes model(100, 7), other(100, 8), longer(101, 7);
  const Manifest third = federated::describe_model(kTask, 3, kNow, model);
  const struct {
    const char* what;
    ModelTrust last;
    const Bytes& model;
    secagg::TaskId task;
    bool good;
  } cases[] = {
      {"the first that it sees", {}, model, kTask, true},
      {"the next", {.version = 2, .model_hash = {1}}, model, kTask, true},
      {"the same again", {.version = 3, .model_hash = third.model_hash}, model, kTask, true},
      {"rollback", {.version = 4, .model_hash = {1}}, model, kTask, false},
      {"equivocation", {.version = 3, .model_hash = {1}}, model, kTask, false},
      {"another model", {}, other, kTask, false},
      {"a longer model", {}, longer, kTask, false},
      {"another task", {}, model, {9}, false},
  };
  for (const auto& c : cases) {
    const auto trust = check_model(third, c.task, c.model, c.last);
    ASSERT_EQ(trust.has_value(), c.good) << c.what;
    if (!trust) {
      EXPECT_EQ(trust.error().code, ErrorCode::kVerification) << c.what;
      continue;
    }
    EXPECT_EQ(trust->version, 3u);
    EXPECT_EQ(trust->model_hash, third.model_hash);
  }
  const Manifest none = federated::describe_model(kTask, 0, kNow, model);
  EXPECT_FALSE(check_model(none, kTask, model, {})) << "versions count from 1";
}

TEST(Manifest, TrustSurvivesItsEncodingAndNoOtherSize) {
  const ModelTrust trust{.version = 77, .model_hash = {5, 6}};
  Bytes bytes = federated::encode_trust(trust);
  const ModelTrust back = federated::decode_trust(bytes).value();
  EXPECT_EQ(back.version, trust.version);
  EXPECT_EQ(back.model_hash, trust.model_hash);
  bytes.push_back(0);
  EXPECT_FALSE(federated::decode_trust(bytes));
  EXPECT_FALSE(federated::decode_trust(ByteSpan(bytes).first(39)));
}

class ManifestTest : public ScratchTest {
 protected:
  // Devices that have played both rounds, and the server as it stood after the first.
  void play_two_rounds(TaskWorld& world) {
    world.spec.rounds = 2;
    world.reopen();
    ASSERT_TRUE(world.run());
    world.coordinator.reset();
    std::filesystem::copy(folder_ / "server", folder_ / "old",
                          std::filesystem::copy_options::recursive);
    world.reopen();
    for (TestDevice& device : world.devices) device.rounds_to_play = 2;
    ASSERT_TRUE(world.run());
    ASSERT_EQ(world.coordinator->rounds_done(), 2u);
  }
  static void expect_refused(const Result<federated::Participation>& result, const char* why) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kVerification);
    EXPECT_NE(result.error().message.find(why), std::string::npos) << result.error().message;
  }
};

TEST_F(ManifestTest, DevicesRefuseAServerThatGoesBack) {
  TaskWorld world(folder_, kDevices);
  play_two_rounds(world);
  world.spec.rounds = 3;
  world.reopen();
  const auto forward = world.step(1);  // the third round, on the third version
  ASSERT_FALSE(forward);
  EXPECT_EQ(forward.error().code, ErrorCode::kNetwork) << "waits for the others";
  const std::size_t before = world.accepted;

  // A server of before the second round, with its own true signature on version 2.
  world.coordinator.reset();
  std::filesystem::rename(folder_ / "server", folder_ / "newer");
  std::filesystem::rename(folder_ / "old", folder_ / "server");
  world.reopen();
  world.clock.advance(1000);
  const int trained = world.devices[1].trained;
  ASSERT_TRUE(world.devices[1].state->apply({{"round/seat"}, {"round/record"}}));
  expect_refused(world.step(1), "version 2, this device has seen 3");
  EXPECT_EQ(world.accepted, before) << "a message left for an old model";
  EXPECT_EQ(world.devices[1].trained, trained);
}

TEST_F(ManifestTest, DevicesRefuseWhatIsShownToThemForTooLong) {
  TaskWorld world(folder_, kDevices);
  const Bytes invitation = world.join(0).value();
  class Frozen final : public Transport {
   public:
    explicit Frozen(Bytes seat) : seat_(std::move(seat)) {}
    Result<Bytes> exchange(std::string_view path, ByteSpan, std::int64_t) override {
      if (path.ends_with("/join")) return seat_;
      return fail(ErrorCode::kNetwork, "no more to say");
    }

   private:
    Bytes seat_;
  };
  const auto ask = [&](Bytes shown) {
    TestDevice& device = world.devices[0];
    EXPECT_TRUE(device.state->erase_all());
    Frozen frozen(std::move(shown));
    federated::Participant participant({.authority = task_authority().public_key(), .policy = {}},
                                       device.identity, frozen, *device.state, *device.entropy,
                                       world.clock);
    return participant.take_part({});
  };
  const auto fresh = ask(invitation);
  ASSERT_FALSE(fresh);
  EXPECT_EQ(fresh.error().code, ErrorCode::kNetwork) << fresh.error().message;
  auto seat = federated::decode_invitation(invitation).value();
  seat.model.back() ^= 1;
  expect_refused(ask(federated::encode_invitation(seat)), "is not the one of version 1");
  seat.manifest.clear();
  const auto bare = ask(federated::encode_invitation(seat));
  ASSERT_FALSE(bare);
  EXPECT_EQ(bare.error().code, ErrorCode::kCorrupt);
  world.clock.advance(world.spec.manifest_valid_ms + 1);
  // make_identity's certificates last longer than that.
  expect_refused(ask(invitation), "expired");
}

TEST_F(ManifestTest, TheServerSignsAgainBeforeDevicesLoseTrust) {
  TaskWorld world(folder_, kDevices);
  const auto expiry = [&] {
    const auto seat = federated::decode_invitation(world.join(0).value()).value();
    return open_manifest(seat.manifest, task_authority().public_key(), world.clock.unix_ms())
        .value()
        .expires_ms;
  };
  const std::int64_t valid_ms = world.spec.manifest_valid_ms;
  const std::int64_t start_ms = world.clock.unix_ms();
  EXPECT_EQ(expiry(), start_ms + valid_ms);
  world.clock.advance(valid_ms / 2);
  EXPECT_EQ(expiry(), start_ms + valid_ms);
  world.clock.advance(1);
  EXPECT_EQ(expiry(), world.clock.unix_ms() + valid_ms);
}

}  // namespace
}  // namespace inkling
