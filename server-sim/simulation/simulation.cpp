#include "server-sim/simulation/simulation.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>

#include "server-sim/simulation/simulation_state.h"

namespace inkling {

namespace {

constexpr std::string_view kCheckpointMagic = "inksim/1";

ByteSpan bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()};
}

}  // namespace

Simulation::Simulation(std::unique_ptr<State> state) : state_(std::move(state)) {}
Simulation::Simulation(Simulation&&) noexcept = default;
Simulation& Simulation::operator=(Simulation&&) noexcept = default;
Simulation::~Simulation() = default;

Result<RoundRecord> Simulation::play_round() {
  State& s = *state_;
  INK_CHECK_OK(s.noise->check_round(s.round + 1));
  ++s.round;
  INK_TRY(const secagg::Config whole, s.group_config(s.smallest_group, 0));
  const Workload work{.epochs = s.spec.local.epochs,
                      .bytes_down = s.parameters.size() * sizeof(float),
                      .bytes_up = s.upload_bytes(whole)};
  std::vector<std::uint32_t> indices;
  const auto examples_of = [&](std::uint64_t client) {
    s.data.partition->examples_of(client, indices);
    return indices.size();
  };
  const CohortOutcome cohort =
      s.async ? s.fill_buffer(work, examples_of)
              : s.population.play_round(s.round, s.virtual_s, s.spec.cohort, work, examples_of);
  s.virtual_s += cohort.seconds;
  RoundRecord record{.round = s.round,
                     .complete = cohort.complete,
                     .asked = cohort.asked,
                     .reported = cohort.reported.size(),
                     .lost = cohort.lost.size(),
                     .bytes_down = work.bytes_down * cohort.asked,
                     .virtual_s = s.virtual_s};
  if (cohort.complete) {
    const auto start = std::chrono::steady_clock::now();
    s.model_hash = model_digest();
    s.algorithm->begin_round(s.round);
    const std::vector<Group> groups = cut_groups(cohort, s.spec.groups.size);
    std::vector<secagg::Config> configs;
    for (const Group& group : groups) {
      INK_TRY(configs.emplace_back(), s.group_config(group.clients.size(), group.lost));
      record.bytes_up += s.upload_bytes(configs.back()) * group.clients.size();
    }
    std::vector<std::vector<std::uint64_t>> sums(groups.size());
    std::vector<State::Tally> tallies(cohort.reported.size());
    INK_CHECK_OK(s.sum_groups(groups, configs, sums, tallies));
    INK_TRY(const RoundMean mean, s.combine_groups(groups, configs, sums));
    if (s.async && s.spec.algorithm.staleness_max > 0) {
      s.past.push_front(s.parameters);
      if (s.past.size() > s.spec.algorithm.staleness_max) s.past.pop_back();
    }
    INK_CHECK_OK(s.algorithm->merge(mean, s.parameters));
    s.steps += 1;
    for (const State::Tally& tally : tallies) {
      record.examples += tally.examples;
      record.loss += tally.loss / static_cast<double>(tallies.size());
    }
    s.clients_trained += tallies.size();
    s.training_seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  const bool due = s.round == s.spec.rounds ||
                   (s.spec.evaluate_every > 0 && s.round % s.spec.evaluate_every == 0);
  if (s.evaluator && due) {
    record.evaluation = s.evaluator->measure(s.parameters, s.pool);
    if (s.algorithm->has_personal_models() && s.data.test_partition != nullptr) {
      const auto model_of = [&s](std::uint64_t client, std::span<float> model) {
        std::copy(s.parameters.begin(), s.parameters.end(), model.begin());
        s.algorithm->personalise(client, model);
      };
      record.personal =
          s.evaluator->measure_each(*s.data.test_partition, model_of, s.parameters.size(), s.pool);
    }
  }
  if (due) {
    INK_TRY(record.epsilon, s.noise->epsilon(s.round));
  }
  return record;
}

std::uint64_t Simulation::rounds_played() const { return state_->round; }
std::span<const float> Simulation::parameters() const { return state_->parameters; }
Sha256Digest Simulation::model_digest() const {
  return secagg::hash_of({bytes_of(state_->parameters)});
}
std::uint64_t Simulation::clients_trained() const { return state_->clients_trained; }
double Simulation::noise_multiplier() const {
  const PrivacySpec& privacy = state_->spec.privacy;
  return privacy.place == NoisePlace::kNone ? 0 : privacy.noise_multiplier;
}
double Simulation::training_seconds() const { return state_->training_seconds; }

Bytes Simulation::save() const {
  const State& s = *state_;
  ByteWriter writer;
  writer.text(kCheckpointMagic);
  writer.u64(s.round);
  writer.u64(std::bit_cast<std::uint64_t>(s.virtual_s));
  writer.u64(s.clients_trained);
  writer.u64(s.parameters.size());
  writer.raw(bytes_of(s.parameters));
  if (s.async) {
    const Bytes flights = s.async->save();
    writer.u64(s.steps);
    writer.u64(flights.size());
    writer.raw(flights);
    writer.u64(s.past.size());
    for (const auto& model : s.past) writer.raw(bytes_of(model));
  }
  writer.raw(s.algorithm->save());
  const Sha256Digest digest = sha256(writer.bytes());
  writer.raw(digest);
  return writer.take();
}

Result<void> Simulation::restore(ByteSpan checkpoint) {
  State& s = *state_;
  const std::size_t digest_bytes = sizeof(Sha256Digest);
  if (checkpoint.size() < digest_bytes + kCheckpointMagic.size())
    return fail(ErrorCode::kCorrupt, "checkpoint: ", checkpoint.size(), " bytes");
  const ByteSpan body = checkpoint.first(checkpoint.size() - digest_bytes);
  const Sha256Digest digest = sha256(body);
  if (as_text(digest) != as_text(checkpoint.last(digest_bytes)))
    return fail(ErrorCode::kCorrupt, "checkpoint: its digest differs");
  ByteReader reader(body);
  if (as_text(reader.raw(kCheckpointMagic.size())) != kCheckpointMagic)
    return fail(ErrorCode::kCorrupt, "checkpoint: not one of a simulation");
  s.round = reader.u64();
  s.virtual_s = std::bit_cast<double>(reader.u64());
  s.clients_trained = reader.u64();
  const std::uint64_t count = reader.u64();
  if (count != s.parameters.size() || reader.remaining() < count * sizeof(float)) {
    return fail(ErrorCode::kVerification, "checkpoint: ", count,
                " parameters, the experiment's model has ", s.parameters.size());
  }
  const auto read_model = [&](std::vector<float>& model) {
    model.resize(s.parameters.size());
    const ByteSpan values = reader.raw(model.size() * sizeof(float));
    if (reader.ok()) std::memcpy(model.data(), values.data(), values.size());
  };
  read_model(s.parameters);
  if (s.async) {
    s.steps = reader.u64();
    const std::uint64_t flight_bytes = reader.u64();
    INK_CHECK_OK(s.async->load(reader.raw(flight_bytes)));
    const std::uint64_t models = reader.u64();
    s.past.clear();
    for (std::uint64_t i = 0; i < models && reader.ok(); ++i) read_model(s.past.emplace_back());
    if (!reader.ok()) return fail(ErrorCode::kCorrupt, "checkpoint: ", models, " earlier models");
  }
  return s.algorithm->load(reader.raw(reader.remaining()));
}

}  // namespace inkling
