// A simulation from its spec: everything that can fail for what that says.

#include <algorithm>
#include <cmath>

#include "federated/privacy/bisection.h"
#include "server-sim/simulation/simulation_state.h"

namespace inkling {

namespace {

constexpr std::size_t kGroupMax = 512;  // of a cohort that is cut only because the protocol must
constexpr std::uint32_t kLossPpm = 300'000;  // of a masked group that may be lost

}  // namespace

std::vector<Group> cut_groups(const CohortOutcome& cohort, std::size_t size) {
  const std::size_t count =
      std::max<std::size_t>(1, size == 0 ? (cohort.reported.size() + kGroupMax - 1) / kGroupMax
                                         : cohort.reported.size() / size);
  std::vector<Group> groups;
  const auto part = [&](std::size_t total, std::size_t i) { return total * i / count; };
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = part(cohort.reported.size(), i);
    const std::size_t end = part(cohort.reported.size(), i + 1);
    const std::size_t lost = part(cohort.lost.size(), i + 1) - part(cohort.lost.size(), i);
    // More than the protocol stands: the others count as not having joined.
    groups.push_back({std::span(cohort.reported).subspan(begin, end - begin),
                      std::min(lost, (end - begin) / 3), i});
  }
  return groups;
}

GroupMeanSpec group_mean_spec(const GroupSpec& spec, std::size_t groups,
                              std::span<const float> reference) {
  // Not one more for a share that is a whole number of groups but for rounding.
  const double hostile = std::ceil(spec.hostile * static_cast<double>(groups) - 1e-9);
  return {.rule = spec.rule,
          .hostile = static_cast<std::size_t>(std::max(hostile, 0.0)),
          .norm_max = spec.norm_max,
          .reference = reference};
}

Result<Simulation> Simulation::create(const SimulationSpec& spec, const SimulationData& data,
                                      Ranks* ranks) {
  INK_INVARIANT(data.train != nullptr && data.partition != nullptr);
  const std::uint64_t clients = data.partition->clients();
  if (spec.cohort.size == 0 || spec.cohort.size > clients) {
    return fail(ErrorCode::kInvalidArgument, "simulation: a cohort of ", spec.cohort.size, " of ",
                clients, " clients");
  }
  INK_TRY(Population population, Population::create(clients, spec.seed, spec.devices, spec.attack));
  auto state = std::make_unique<State>(spec, data, std::move(population));
  state->ranks = ranks;
  // The algorithm says which terms the local objective has, and the model how long its vectors are.
  INK_TRY(const LocalTrainer probe,
          LocalTrainer::create(spec.architecture, *data.train, spec.local, {}, spec.seed));
  state->parameters = probe.initial_parameters();
  INK_TRY(state->algorithm, make_algorithm(spec.algorithm, {.parameters = state->parameters.size(),
                                                            .clients = clients,
                                                            .local_rate = spec.local.rate,
                                                            .seed = spec.seed,
                                                            .cohort = spec.cohort.size,
                                                            .clip_l2 = spec.update.clip_l2,
                                                            .variables = probe.parameters()}));
  if (const std::size_t concurrency = state->algorithm->concurrency(); concurrency > 0) {
    if (spec.cohort.size + concurrency > clients)
      return fail(ErrorCode::kInvalidArgument, "simulation: ", concurrency,
                  " clients at work and a buffer of ", spec.cohort.size, ", of ", clients);
    state->async.emplace(AsyncSpec{.concurrency = concurrency,
                                   .buffer = spec.cohort.size,
                                   .staleness_max = spec.algorithm.staleness_max,
                                   .deadline_s = spec.cohort.deadline_s});
  }
  if (spec.cohort.once &&
      (spec.devices.enabled || state->async || clients / spec.cohort.size < spec.rounds)) {
    return fail(ErrorCode::kUnsupported, "simulation: ", spec.rounds, " rounds of ",
                spec.cohort.size, " clients that take part once, of ", clients,
                ": expected as many, no devices, and rounds");
  }
  INK_CHECK_OK(state->check_privacy());
  if (ranks != nullptr && ranks->count() > 1 && state->algorithm->has_client_state()) {
    return fail(ErrorCode::kUnsupported, "simulation: ", spec.algorithm.name, " on ",
                ranks->count(), " ranks: each would know the state of its own clients alone");
  }
  for (State::Desk& desk : state->desks) {
    INK_TRY(LocalTrainer trainer, LocalTrainer::create(spec.architecture, *data.train, spec.local,
                                                       state->algorithm->terms(), spec.seed));
    state->trainers.push_back(std::move(trainer));
    desk.after.resize(state->parameters.size());
    desk.scratch.resize(state->parameters.size());
  }
  if (data.test != nullptr) {
    INK_TRY(state->evaluator,
            Evaluator::create(spec.architecture, *data.test, state->pool.threads()));
  }
  // A whole cohort must fit the ring and the combining rule.
  CohortOutcome full;
  full.reported.resize(spec.cohort.size);
  const std::vector<Group> groups = cut_groups(full, spec.groups.size);
  std::size_t& smallest = state->smallest_group;
  smallest = spec.cohort.size;
  for (const Group& group : groups) {
    INK_CHECK_OK(state->group_config(group.clients.size(), 0));
    smallest = std::min(smallest, group.clients.size());
  }
  const double asked = static_cast<double>(spec.cohort.size) *
                       (spec.devices.enabled ? std::max(spec.cohort.over_selection, 1.0) : 1.0);
  INK_CHECK_OK(state->prepare_noise(asked / static_cast<double>(clients)));
  const std::vector<float> nothing = {0.0f};
  const std::vector<GroupUpdate> updates(groups.size(), {.delta = nothing});
  INK_CHECK_OK(group_mean(updates, group_mean_spec(spec.groups, groups.size(), nothing)));
  INK_CHECK_OK(state->check_rule(groups.size()));
  return Simulation(std::move(state));
}

// What leaves without noise, or is not sampled as the accountant assumes, gives no guarantee.
Result<void> Simulation::State::check_privacy() const {
  const PrivacySpec& privacy = spec.privacy;
  if (privacy.place == NoisePlace::kNone) return {};
  const bool is_tree = privacy.place == NoisePlace::kTree;
  if (is_tree && !spec.cohort.once) {
    return fail(ErrorCode::kUnsupported, "privacy: tree noise is accounted for clients that take ",
                "part once: cohort.once = true");
  }
  if ((is_tree || privacy.place == NoisePlace::kCentral) && spec.groups.rule != GroupRule::kMean) {
    return fail(ErrorCode::kUnsupported, "privacy: central noise is calibrated to a mean, not to ",
                group_rule_name(spec.groups.rule));
  }
  if (algorithm->metric_count() > 0 || spec.update.weigh_by_examples) {
    return fail(ErrorCode::kUnsupported, "privacy: ",
                algorithm->metric_count() > 0 ? spec.algorithm.name + "'s metric"
                                              : std::string("the weight by examples"),
                " would leave without noise");
  }
  if (async && privacy.amplified) {
    return fail(ErrorCode::kUnsupported, "privacy: whoever is done first is no random sample: ",
                "privacy.amplified = false takes no credit for one");
  }
  return {};
}

Result<secagg::Config> Simulation::State::group_config(std::size_t members,
                                                       std::size_t lost) const {
  const UpdateSpec& update = spec.update;
  const auto seats = static_cast<std::uint32_t>(std::max<std::size_t>(members + lost, 2));
  secagg::Config config;
  config.n_max = seats;
  config.n_min = std::max<std::uint32_t>(2, static_cast<std::uint32_t>(members));
  config.delta_ppm = lost > 0 ? kLossPpm : 0;
  config.dimension = algorithm->upload_length();
  config.metrics = static_cast<std::uint32_t>(algorithm->metric_count());
  config.metric_clip = algorithm->metric_bound();
  config.scale = update.scale;
  config.clip_l2 = update.clip_l2;
  config.rotate = update.rotate;
  if (update.weigh_by_examples) {
    config.weight_mode = secagg::WeightMode::kByExamples;
    config.weight_max = update.examples_max;
  }
  set_group_noise(spec.privacy, config);
  config.ring_bits = update.ring_bits;
  if (update.ring_bits == 0) {  // the fewest in which the sum cannot wrap
    config.ring_bits = secagg::kRingBitsMin;
    while (config.ring_bits < secagg::kRingBitsMax && !secagg::check_config(config))
      ++config.ring_bits;
  }
  INK_CHECK_OK(secagg::check_config(config));
  return config;
}

// sampling: of a round.
Result<void> Simulation::State::prepare_noise(double sampling) {
  PrivacySpec& own = spec.privacy;
  const PrivacySpec asked = own;
  if (asked.calibrated && asked.place != NoisePlace::kNone) {
    const auto is_enough = [&](double multiplier) -> Result<bool> {
      own = asked;
      own.noise_multiplier = multiplier;
      own.epsilon = std::numeric_limits<double>::infinity();
      INK_TRY(const secagg::Config config, group_config(smallest_group, 0));
      INK_TRY(const RoundNoise probe, RoundNoise::create(own, sampling, config));
      INK_TRY(const double epsilon, probe.epsilon(spec.rounds));
      return epsilon <= asked.epsilon;
    };
    INK_TRY(const double multiplier, privacy::smallest_noise(is_enough));
    own = asked;
    own.noise_multiplier = multiplier;
  }
  INK_TRY(const secagg::Config config, group_config(smallest_group, 0));
  INK_TRY(noise, RoundNoise::create(own, sampling, config));
  return {};
}

// A rule that compares groups needs some; one that compares them with an update that the server
// has itself needs uploads that a client without a past could make.
Result<void> Simulation::State::check_rule(std::size_t groups) const {
  const GroupRule rule = spec.groups.rule;
  if (rule == GroupRule::kMedian && groups < 3) {
    return fail(ErrorCode::kUnsupported, "simulation: the median of ", groups,
                " sums says nothing about their clients: aggregation.group makes them smaller");
  }
  if (rule != GroupRule::kFlTrust) return {};
  if (algorithm->has_client_state() || algorithm->metric_count() > 0 || async ||
      algorithm->upload_length() != parameters.size()) {
    return fail(ErrorCode::kUnsupported, "simulation: fltrust compares updates with the server's ",
                "own, and ", spec.algorithm.name, " uploads something else");
  }
  if (spec.groups.root_examples > 0 && spec.groups.root_examples <= data.train->size()) return {};
  return fail(ErrorCode::kInvalidArgument, "simulation: fltrust with ", spec.groups.root_examples,
              " examples of the server's own, of ", data.train->size());
}

}  // namespace inkling
