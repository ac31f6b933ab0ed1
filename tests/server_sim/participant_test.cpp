// What a participant refuses, and what it keeps to itself.

#include "federated/participant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "federated/parameters.h"
#include "federated/task.h"
#include "tests/server_sim/task_world.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

constexpr std::size_t kDevices = 4;

class ParticipantTest : public ScratchTest {};

TEST_F(ParticipantTest, RefusesAnAttemptThatItHasFinished) {
  TaskWorld world(folder_, kDevices);
  const Bytes invitation = world.join(0).value();
  Bytes offer = world.coordinator->poll(device_id(0), {1, 1}, 0).value();
  ASSERT_TRUE(world.run());
  ASSERT_EQ(world.devices[0].played.size(), 1u);

  // The server shows the offer of the finished attempt again, with its own valid signature.
  class Again final : public Transport {
   public:
    Again(Bytes seat, Bytes message) : seat_(std::move(seat)), message_(std::move(message)) {}
    Result<Bytes> exchange(std::string_view path, ByteSpan, std::int64_t) override {
      if (path.ends_with("/join")) return seat_;
      if (path.ends_with("/poll")) return message_;
      ++sent;
      return Bytes();
    }
    int sent = 0;

   private:
    Bytes seat_, message_;
  } again(invitation, std::move(offer));
  TestDevice& device = world.devices[0];
  federated::Participant participant({.authority = task_authority().public_key(), .policy = {}},
                                     device.identity, again, *device.state, *device.entropy,
                                     world.clock);
  const auto refused =
      participant.take_part([&](const auto&, const auto&) -> Result<federated::LocalUpdate> {
        ADD_FAILURE() << "trained for a round that is over";
        return federated::LocalUpdate{.delta = device.delta};
      });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kProtocol);
  EXPECT_NE(refused.error().message.find("not after round 1 attempt 1"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ(again.sent, 0);
}

TEST_F(ParticipantTest, AsksForAnotherSeatWhenTheRoundWentOnWithoutIt) {
  TaskWorld world(folder_, kDevices);
  const Bytes invitation = world.join(0).value();
  const Bytes offer = world.coordinator->poll(device_id(0), {1, 1}, 0).value();
  for (const ErrorCode code : {ErrorCode::kNotFound, ErrorCode::kFailedPrecondition}) {
    class TooLate final : public Transport {
     public:
      TooLate(Bytes seat, Bytes message, ErrorCode code)
          : seat_(std::move(seat)), message_(std::move(message)), code_(code) {}
      Result<Bytes> exchange(std::string_view path, ByteSpan, std::int64_t) override {
        if (path.ends_with("/join")) return seat_;
        if (path.ends_with("/poll")) return message_;
        return fail(code_, "not expected in this phase");
      }

     private:
      Bytes seat_, message_;
      ErrorCode code_;
    } late(invitation, offer, code);
    TestDevice& device = world.devices[0];
    ASSERT_TRUE(device.state->erase_all());
    federated::Participant participant({.authority = task_authority().public_key(), .policy = {}},
                                       device.identity, late, *device.state, *device.entropy,
                                       world.clock);
    const auto report = participant.take_part({});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->seat, federated::Seat::kWait);
    EXPECT_GT(report->retry_ms, 0u);
    EXPECT_EQ(device.state->names("round/").value(), std::vector<std::string>{last_key()});
  }
}

TEST_F(ParticipantTest, DoesNotWaitForEverForARoundToEnd) {
  TaskWorld world(folder_, kDevices);
  const Bytes invitation = world.join(0).value();
  const Bytes offer = world.coordinator->poll(device_id(0), {1, 1}, 0).value();
  class Silent final : public Transport {
   public:
    Silent(Bytes seat, Bytes message, VirtualClock& clock)
        : seat_(std::move(seat)), message_(std::move(message)), clock_(clock) {}
    Result<Bytes> exchange(std::string_view path, ByteSpan body, std::int64_t) override {
      if (path.ends_with("/join")) return seat_;
      if (path.ends_with("/message")) return Bytes();
      if (body[0] == 0) return message_;
      clock_.advance(10'000);  // a long poll without news, for ever
      ++polls;
      return Bytes();
    }
    int polls = 0;

   private:
    Bytes seat_, message_;
    VirtualClock& clock_;
  } silent(invitation, offer, world.clock);
  TestDevice& device = world.devices[0];
  federated::Participant participant({.authority = task_authority().public_key(), .policy = {}},
                                     device.identity, silent, *device.state, *device.entropy,
                                     world.clock);
  const auto report = participant.take_part({});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kNetwork);
  EXPECT_GT(silent.polls, 1);
}

TEST_F(ParticipantTest, RefusesACohortBelowItsFloor) {
  TaskWorld world(folder_, kDevices);
  world.devices[1].policy.n_min = world.spec.config.n_min + 1;
  const auto refused = world.step(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kProtocol);
  EXPECT_NE(refused.error().message.find("floor 3"), std::string::npos) << refused.error().message;
  EXPECT_EQ(world.accepted, 0u);
  world.devices[2].policy.n_min = world.spec.config.n_min;  // exactly at the floor
  const auto accepted = world.step(2);
  ASSERT_FALSE(accepted);
  EXPECT_EQ(accepted.error().code, ErrorCode::kNetwork);  // waits for the others
  EXPECT_EQ(world.accepted, 1u);
}

TEST_F(ParticipantTest, LeavesTheRoundWhenItsFloorRisesInTheMiddle) {
  TaskWorld world(folder_, kDevices);
  for (std::size_t i = 0; i < kDevices; ++i) (void)world.step(i);
  world.devices[0].policy.n_min = kDevices;  // the user turned privacy up
  const auto left = world.step(0);
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().code, ErrorCode::kProtocol);
  EXPECT_EQ(world.devices[0].state->names("round/").value(), std::vector<std::string>{last_key()});
  world.devices[0].policy.n_min = 2;  // and down again: that attempt stays left
  const auto back = world.step(0);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->seat, federated::Seat::kWait);
  EXPECT_FALSE(back->gave_update);
}

TEST_F(ParticipantTest, IsRefusedWithACertificateOfAnotherAuthority) {
  TaskWorld world(folder_, kDevices);
  const auto stranger = secagg::SigningKey::from_seed(
      secagg::Secret<32>::copy_of(secagg::hash_of({as_bytes("another authority")})));
  world.devices[0].identity = make_identity(stranger, secagg::Role::kClient, device_id(0));
  const auto refused = world.step(0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kVerification) << refused.error().message;
  EXPECT_EQ(world.accepted, 0u);
}

TEST_F(ParticipantTest, RefusesAServerOfAnotherAuthority) {
  TaskWorld world(folder_, kDevices);
  const auto stranger = secagg::SigningKey::from_seed(
      secagg::Secret<32>::copy_of(secagg::hash_of({as_bytes("another authority")})));
  world.coordinator.reset();
  auto opened = Coordinator::open(
      world.spec, make_identity(stranger, secagg::Role::kServer, {0, 255}),
      task_authority().public_key(), folder_ / "server", world.first_model(), world.server_entropy);
  ASSERT_TRUE(opened);
  world.coordinator.emplace(*std::move(opened));
  const auto refused = world.step(0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kVerification) << refused.error().message;
  EXPECT_EQ(world.accepted, 0u);
}

TEST_F(ParticipantTest, ReportsTrainingThatFailsAndLeavesTheRound) {
  TaskWorld world(folder_, kDevices);
  world.devices[0].delta.pop_back();
  ASSERT_TRUE(world.run());
  ASSERT_TRUE(world.devices[0].error);
  EXPECT_EQ(world.devices[0].error->code, ErrorCode::kProtocol);
  EXPECT_NE(world.devices[0].error->message.find("an update of 4 parameters"), std::string::npos);
  ASSERT_EQ(world.reports().size(), 1u);  // the others did without it
  EXPECT_EQ(world.reports()[0].survivors, kDevices - 1);
}

// Damage of every kind that a disk or a network makes. Decoders may accept a change of a plain
// number, but what they accept is within the limits that they promise.
template <typename Check>
void damage(const Bytes& good, Check check) {
  Rng rng(9, "damage");
  for (std::size_t size = 0; size < good.size(); ++size)
    check(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
  for (int trial = 0; trial < 5000; ++trial) {
    Bytes bad = good;
    const std::uint32_t changes = 1 + rng.next_u32() % 4;
    for (std::uint32_t c = 0; c < changes; ++c)
      bad[rng.next_u32() % bad.size()] ^= static_cast<std::uint8_t>(1 + rng.next_u32() % 255);
    check(bad);
  }
}

TEST(TaskMessages, DamagedPlansAreRefusedOrWithinTheLimits) {
  const Bytes good =
      federated::encode_plan({.kind = "conditional_logit", .local_steps = 7, .rate = 0.25});
  const federated::Plan back = federated::decode_plan(good).value();
  EXPECT_EQ(back.kind, "conditional_logit");
  EXPECT_EQ(back.local_steps, 7u);
  EXPECT_EQ(back.rate, 0.25);
  std::size_t refused = 0;
  damage(good, [&](const Bytes& bad) {
    const auto plan = federated::decode_plan(bad);
    refused += !plan;
    if (!plan) return;
    EXPECT_LE(plan->local_steps, federated::kLocalStepsMax);
    EXPECT_GE(plan->local_steps, 1u);
    EXPECT_GT(plan->rate, 0);
    EXPECT_TRUE(std::isfinite(plan->rate));
    EXPECT_LE(plan->kind.size(), bad.size());
  });
  EXPECT_GT(refused, good.size() / 2);  // of the truncations alone
}

TEST(TaskMessages, PlansAreBoundedAtTheirLimits) {
  const auto decodes = [](std::uint32_t steps, double rate, double prox = 0) {
    return federated::decode_plan(
               federated::encode_plan(
                   {.kind = "k", .local_steps = steps, .rate = rate, .prox = prox}))
        .has_value();
  };
  EXPECT_FALSE(decodes(0, 1));
  EXPECT_TRUE(decodes(1, 1));
  EXPECT_TRUE(decodes(federated::kLocalStepsMax, 1));
  EXPECT_FALSE(decodes(federated::kLocalStepsMax + 1, 1));
  EXPECT_FALSE(decodes(1, 0));
  EXPECT_FALSE(decodes(1, -1));
  EXPECT_FALSE(decodes(1, std::numeric_limits<double>::infinity()));
  EXPECT_FALSE(decodes(1, std::numeric_limits<double>::quiet_NaN()));
  EXPECT_TRUE(decodes(1, 1, 0.01));
  EXPECT_FALSE(decodes(1, 1, -0.01));
  EXPECT_FALSE(decodes(1, 1, std::numeric_limits<double>::quiet_NaN()));
  EXPECT_FALSE(federated::decode_plan(Bytes(federated::kPlanBytesMax + 1)));
}

TEST(TaskMessages, DamagedInvitationsAreRefusedOrHoldTogether) {
  const federated::Invitation invitation{.seat = federated::Seat::kTaken,
                                         .attempt = {3, 2},
                                         .task = {1, 2, 3},
                                         .plan = Bytes(20, 1),
                                         .model = Bytes(60, 2)};
  const Bytes good = federated::encode_invitation(invitation);
  const auto back = federated::decode_invitation(good).value();
  EXPECT_EQ(back.attempt, invitation.attempt);
  EXPECT_EQ(back.task, invitation.task);
  EXPECT_EQ(back.plan, invitation.plan);
  EXPECT_EQ(back.model, invitation.model);
  std::size_t refused = 0;
  damage(good, [&](const Bytes& bad) {
    const auto seat = federated::decode_invitation(bad);
    refused += !seat;
    if (!seat) return;
    EXPECT_LE(seat->plan.size() + seat->model.size(), 2 * bad.size());  // tables may overlap
    EXPECT_LE(seat->seat, federated::Seat::kFinished);
  });
  EXPECT_GT(refused, good.size() / 2);
}

TEST(Parameters, RoundTripThroughTheModel) {
  Model model;
  const ValueId a = model.graph.variable("a", Tensor::from<float>(Shape({2}), {1.0f, 2.0f}));
  const ValueId steps =
      model.graph.variable("steps", Tensor::from<std::int64_t>(Shape({1}), {std::int64_t{5}}));
  const ValueId b =
      model.graph.variable("b", Tensor::from<float>(Shape({1, 3}), {3.0f, 4.0f, 5.0f}));
  EXPECT_EQ(federated::get_parameters(model), (std::vector<float>{1, 2, 3, 4, 5}));
  const std::vector<float> others = {-1, -2, -3, -4, -5};
  const Model changed = federated::with_parameters(model, others).value();
  EXPECT_EQ(federated::get_parameters(changed), others);
  EXPECT_EQ(federated::get_parameters(model), (std::vector<float>{1, 2, 3, 4, 5}))
      << "the given model was changed";
  EXPECT_EQ(changed.graph.value(steps).tensor->data<std::int64_t>()[0], 5);
  EXPECT_EQ(changed.graph.value(a).spec.shape, model.graph.value(a).spec.shape);
  EXPECT_EQ(changed.graph.value(b).spec.shape, model.graph.value(b).spec.shape);
}

TEST(Parameters, RefuseAnotherCount) {
  Model model;
  model.graph.variable("a", Tensor::from<float>(Shape({2}), {1.0f, 2.0f}));
  model.graph.variable("b", Tensor::from<float>(Shape({3}), {3.0f, 4.0f, 5.0f}));
  for (const std::size_t count : {0, 1, 2, 4, 6}) {
    const auto refused = federated::with_parameters(model, std::vector<float>(count));
    ASSERT_FALSE(refused) << count;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace inkling
