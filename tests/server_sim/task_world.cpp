#include "tests/server_sim/task_world.h"

#include <gtest/gtest.h>

#include "federated/enrolment.h"
#include "federated/join_request.h"
#include "federated/parameters.h"

namespace inkling {

namespace {

using federated::Participation;

constexpr std::int64_t kStart = 1'700'000'000'000;
constexpr std::int64_t kExpiry = kStart + 1'000'000'000;
constexpr std::uint32_t kPhaseMs = 60'000;
constexpr std::size_t kDimension = 5;

// The device's end of a network that is a function call: a device that would wait is cut off.
class WorldTransport final : public Transport {
 public:
  WorldTransport(TaskWorld& world, std::size_t index) : world_(world), index_(index) {}

  Result<Bytes> exchange(std::string_view path, ByteSpan body, std::int64_t) override {
    auto answer = dispatch(path, body);
    // What HTTP makes of an internal failure.
    if (!answer && answer.error().code == ErrorCode::kIo)
      return fail(ErrorCode::kNetwork, "HTTP 500");
    return answer;
  }

 private:
  Result<Bytes> dispatch(std::string_view path, ByteSpan body) {
    const secagg::ClientId& id = world_.devices[index_].identity.certificate.id;
    const std::int64_t now_ms = world_.clock.unix_ms();
    if (path.ends_with("/join")) return world_.coordinator->join(id, body, now_ms);
    // .../rounds/ROUND.ATTEMPT/WHAT
    const std::string rest(path.substr(path.find("/rounds/") + 8));
    const std::size_t dot = rest.find('.'), slash = rest.find('/');
    const secagg::Attempt attempt{
        std::stoull(rest.substr(0, dot)),
        static_cast<std::uint32_t>(std::stoul(rest.substr(dot + 1, slash)))};
    if (rest.substr(slash) == "/poll") {
      INK_TRY(Bytes message, world_.coordinator->poll(id, attempt, body[0]));
      if (message.empty()) return fail(ErrorCode::kNetwork, "no news yet");
      return message;
    }
    INK_CHECK_OK(world_.coordinator->receive(id, attempt, body, now_ms));
    TestDevice& device = world_.devices[index_];
    if (!device.delivered.insert(secagg::hash_of({body})).second) return Bytes();
    world_.last_message.assign(body.begin(), body.end());
    world_.last_sender = id;
    ++world_.accepted;
    if (world_.on_accepted) world_.on_accepted(world_.accepted);
    if (device.loses_acknowledgements)
      return fail(ErrorCode::kNetwork, "the acknowledgement was lost");
    return Bytes();
  }

  TaskWorld& world_;
  std::size_t index_;
};

// Cuts the device off for good once a message of this name has been acknowledged.
class DyingTransport final : public Transport {
 public:
  DyingTransport(Transport& below, TestDevice& device) : below_(below), device_(device) {}
  Result<Bytes> exchange(std::string_view path, ByteSpan body, std::int64_t timeout) override {
    if (cut_) return fail(ErrorCode::kNetwork, "the device has stopped");
    return below_.exchange(path, body, timeout);
  }
  void acknowledged(std::string_view message) {
    device_.dead |= message == device_.dies_after;
    cut_ |= device_.dead || device_.stops_at_each_message;
  }

 private:
  Transport& below_;
  TestDevice& device_;
  bool cut_ = false;
};

}  // namespace

std::string last_key() { return "round/last/04020000000000000000000000000000"; }

secagg::SigningKey task_authority() {
  return secagg::SigningKey::from_seed(
      secagg::Secret<32>::copy_of(secagg::hash_of({as_bytes("authority of the test")})));
}

secagg::ClientId device_id(std::size_t index) {
  secagg::ClientId id{};
  id[0] = 0xde;
  id[1] = static_cast<std::uint8_t>(index);
  return id;
}

secagg::Identity make_identity(const secagg::SigningKey& authority, secagg::Role role,
                               const secagg::ClientId& id) {
  secagg::TestEntropy entropy(3, id[1] + 1000);
  return federated::enrol(authority, role, id, kExpiry, entropy).value();
}

TaskWorld::TaskWorld(const Path& task_folder, std::size_t count)
    : folder(task_folder), clock(kStart), server_entropy(5) {
  const auto n = static_cast<std::uint32_t>(count);
  spec.task = {4, 2};
  spec.plan = {.kind = "known_delta", .local_steps = 3, .rate = 0.5};
  spec.config.n_min = n - 2;
  spec.config.n_max = n;
  spec.config.delta_ppm = 2 * secagg::kPpm / n + 1;
  spec.config.scale = 1 << 16;
  spec.config.clip_l2 = 16;
  spec.config.phase_ms = {kPhaseMs, kPhaseMs, kPhaseMs, kPhaseMs, kPhaseMs};
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<float> delta(kDimension);
    Rng rng(11, "delta", i);
    for (float& d : delta) d = static_cast<float>(2 * rng.uniform() - 1);
    devices.push_back(
        {.identity = make_identity(task_authority(), secagg::Role::kClient, device_id(i)),
         .delta = std::move(delta),
         .state = std::make_unique<KeyValue>(
             KeyValue::open(folder / concat("device", i, ".sqlite")).value()),
         .entropy = std::make_unique<secagg::TestEntropy>(6, i),
         .rounding = std::make_unique<SameEntropy>(i)});
  }
  reopen();
}

Bytes TaskWorld::first_model() const {
  Model model;
  model.graph.variable("weights", Tensor::from<float>(Shape({2, 2}), {1.0f, -1.0f, 0.5f, 0.25f}));
  const ValueId bias = model.graph.variable("bias", Tensor::from<float>(Shape({1}), {2.0f}));
  model.graph.output("bias", bias);
  model.metadata["about"] = "five parameters";
  return encode_model(model).value();
}

Result<Coordinator> TaskWorld::open_coordinator() const {
  return Coordinator::open(spec, make_identity(task_authority(), secagg::Role::kServer, {0, 255}),
                           task_authority().public_key(), folder / "server", first_model(),
                           server_entropy);
}

Result<Bytes> TaskWorld::join(std::size_t index) {
  const std::int64_t now_ms = clock.unix_ms();
  return coordinator->join(device_id(index),
                           federated::make_join_request(devices[index].identity, now_ms), now_ms);
}

void TaskWorld::reopen() {
  coordinator.reset();
  auto opened = open_coordinator();
  ASSERT_TRUE(opened) << opened.error().message;
  coordinator.emplace(*std::move(opened));
}

Result<Participation> TaskWorld::step(std::size_t index) {
  TestDevice& device = devices[index];
  WorldTransport wire(*this, index);
  DyingTransport transport(wire, device);
  const federated::ParticipantSpec participant_spec{
      .authority = task_authority().public_key(),
      .policy = device.policy,
      .ledger = device.ledger,
      .budget = device.budget,
      .rounding = device.rounding.get(),
      .keeps_input = true,
      .progress = [&](std::string_view message) { transport.acknowledged(message); }};
  federated::Participant participant(participant_spec, device.identity, transport, *device.state,
                                     device.other_entropy ? *device.other_entropy : *device.entropy,
                                     clock);
  return participant.take_part(
      [&](const federated::Plan& plan, const Bytes&) -> Result<federated::LocalUpdate> {
        if (plan.kind != spec.plan.kind) return fail(ErrorCode::kUnsupported, plan.kind);
        ++device.trained;
        return federated::LocalUpdate{
            .delta = device.delta, .weight = device.weight, .metrics = device.metrics};
      });
}

bool TaskWorld::run() {
  constexpr int kPassesMax = 1000;
  for (int pass = 0; pass < kPassesMax; ++pass) {
    const std::size_t before = accepted;
    bool all = true;
    for (std::size_t i = 0; i < devices.size(); ++i) {
      TestDevice& device = devices[i];
      if (device.finished()) continue;
      all = false;
      auto report = step(i);
      if (report && report->seat == federated::Seat::kTaken) device.played.push_back(*report);
      if (!report && report.error().code != ErrorCode::kNetwork) device.error = report.error();
    }
    if (all) return true;
    if (accepted != before) continue;
    clock.advance(1000);
    if (const auto ticked = coordinator->tick(clock.unix_ms()); !ticked) {
      ADD_FAILURE() << ticked.error().message;
      return false;
    }
  }
  return false;
}

std::vector<float> TaskWorld::parameters() const {
  const auto owner = std::make_shared<const Bytes>(coordinator->model());
  return federated::get_parameters(decode_model(*owner, owner).value());
}

std::vector<std::uint64_t> TaskWorld::plain_sum(
    const secagg::Attempt& attempt, const std::function<bool(std::size_t)>& counts) const {
  std::vector<std::uint64_t> sum(kDimension + 1);  // and the weight
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (!counts(i)) continue;
    const Bytes kept = devices[i].state->get(federated::input_key(attempt)).value();
    EXPECT_EQ(kept.size(), 8 * sum.size());
    ByteReader reader(kept);
    for (std::uint64_t& s : sum) s = (s + reader.u64()) & spec.config.ring_mask();
  }
  return sum;
}

}  // namespace inkling
