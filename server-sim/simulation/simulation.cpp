#include "server-sim/simulation/simulation.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "federated/privacy/bisection.h"
#include "federated/privacy/gaussian_noise.h"
#include "federated/seeded_rounding.h"
#include "federated/update.h"
#include "runtime/base/thread_pool.h"
#include "server-sim/simulation/async_cohort.h"
#include "server-sim/simulation/masked_group.h"

namespace inkling {

namespace {

constexpr std::size_t kGroupMax = 512;  // of a cohort that is cut only because the protocol must
constexpr std::uint32_t kLossPpm = 300'000;  // of a masked group that may be lost
constexpr std::uint64_t kServer = (std::uint64_t{1} << 40) - 1;  // as a client in draws
constexpr std::uint64_t kTreeNode = std::uint64_t{1} << 63;      // no round's turn has this bit
constexpr std::string_view kCheckpointMagic = "inksim/1";

// A round in numbers that are unique to (round, client), for keyed draws.
std::uint64_t turn_index(std::uint64_t round, std::uint64_t client) { return round << 40 ^ client; }

ByteSpan bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()};
}

// The clients of a round that are summed together.
struct Group {
  std::span<const std::uint64_t> clients;
  std::size_t lost = 0;
  std::uint64_t index = 0;
};

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

}  // namespace

struct Simulation::State {
  SimulationSpec spec;
  SimulationData data;
  Population population;
  Ranks* ranks = nullptr;  // null: this process plays alone
  ThreadPool pool;
  std::vector<LocalTrainer> trainers;  // one a worker
  std::optional<Evaluator> evaluator;
  std::unique_ptr<Algorithm> algorithm;
  std::optional<RoundNoise> noise;
  std::size_t smallest_group = 1;  // of a whole cohort
  std::vector<float> parameters;
  std::optional<AsyncCohort> async;  // where the algorithm knows no rounds
  // Of clients that did not train from the newest model; and the models before it, newest first, as
  // many as may still be reported from.
  std::unordered_map<std::uint64_t, std::uint64_t> staleness;
  std::deque<std::vector<float>> past;
  secagg::Hash model_hash{};  // of the parameters, while a round is played
  std::uint64_t round = 0;
  std::uint64_t steps = 0;  // rounds that moved the model
  double virtual_s = 0;
  std::uint64_t clients_trained = 0;
  double training_seconds = 0;

  // What one worker's clients add up to beside the ring sums.
  struct Tally {
    std::size_t examples = 0;
    double loss = 0;
  };
  // Scratch of one worker.
  struct Desk {
    std::vector<std::uint32_t> indices, labels;
    std::vector<float> after, scratch;
    Result<void> failure;
  };
  std::vector<Desk> desks;

  State(const SimulationSpec& s, const SimulationData& d, Population p)
      : spec(s), data(d), population(std::move(p)), pool(s.threads), desks(pool.threads()) {}

  Result<secagg::Config> group_config(std::size_t members, std::size_t lost) const;
  Result<void> check_privacy() const;
  Result<void> prepare_noise(double sampling);
  secagg::RoundIdentity identity(std::uint64_t group) const;
  Result<std::vector<std::uint64_t>> play_client(const secagg::Config& config,
                                                 const secagg::Hash& context, std::uint64_t client,
                                                 unsigned worker, Tally& tally);
  void attack(std::uint64_t client, std::span<float> update) const;
  Result<std::vector<std::uint64_t>> sum_group(const Group& group, const secagg::Config& config,
                                               std::span<Tally> tallies, unsigned worker);
  Result<void> sum_groups(std::span<const Group> groups, std::span<const secagg::Config> configs,
                          std::vector<std::vector<std::uint64_t>>& sums, std::span<Tally> tallies);
  bool is_mine(std::size_t part) const {
    return ranks == nullptr || part % ranks->count() == ranks->rank();
  }
  Result<void> share_sums(std::span<const secagg::Config> configs,
                          std::vector<std::vector<std::uint64_t>>& sums, std::span<Tally> tallies);
  Result<RoundMean> combine_groups(std::span<const Group> groups,
                                   std::span<const secagg::Config> configs,
                                   std::span<const std::vector<std::uint64_t>> sums);
  Result<void> add_central_noise(RoundMean& mean) const;
  Result<void> check_rule(std::size_t groups) const;
  Result<std::vector<float>> train_root();
  CohortOutcome fill_buffer(const Workload& work,
                            const std::function<std::size_t(std::uint64_t)>& examples_of);
  std::uint64_t upload_bytes(const secagg::Config& config) const {
    return (config.masked_length() * config.ring_bits + 7) / 8;
  }
};

Simulation::Simulation(std::unique_ptr<State> state) : state_(std::move(state)) {}
Simulation::Simulation(Simulation&&) noexcept = default;
Simulation& Simulation::operator=(Simulation&&) noexcept = default;
Simulation::~Simulation() = default;

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

// The same for a masked and a plain sum, so that rotation draws the same signs.
secagg::RoundIdentity Simulation::State::identity(std::uint64_t group) const {
  ByteWriter nonce;
  nonce.u64(spec.seed);
  nonce.u64(round);
  nonce.u64(group);
  return {.task = {'s', 'i', 'm'},
          .attempt = {.round = round, .attempt = static_cast<std::uint32_t>(group + 1)},
          .plan_hash = secagg::hash_of({as_bytes(spec.algorithm.name)}),
          .model_hash = model_hash,
          .server_nonce = secagg::hash_of({nonce.bytes()})};
}

void Simulation::State::attack(std::uint64_t client, std::span<float> update) const {
  const AttackSpec& a = population.attack();
  if (a.kind == Attack::kNone || a.kind == Attack::kLabelFlip || !population.hostile(client))
    return;
  Rng rng(spec.seed, "attack", turn_index(round, client));
  const double factor = a.kind == Attack::kSignFlip ? -a.strength : a.strength;
  for (float& v : update) {
    v = a.kind == Attack::kNoise ? static_cast<float>(a.strength * rng.normal())
                                 : static_cast<float>(factor * v);
  }
}

Result<std::vector<std::uint64_t>> Simulation::State::play_client(const secagg::Config& config,
                                                                  const secagg::Hash& context,
                                                                  std::uint64_t client,
                                                                  unsigned worker, Tally& tally) {
  Desk& desk = desks[worker];
  data.partition->examples_of(client, desk.indices);
  desk.labels.clear();
  if (population.attack().kind == Attack::kLabelFlip && population.hostile(client)) {
    for (const std::uint32_t example : desk.indices) {
      const std::size_t labels =
          data.train->has_slates() ? data.train->alternatives(example) : data.train->label_count();
      desk.labels.push_back(static_cast<std::uint32_t>(labels - 1) - data.train->labels()[example]);
    }
  }
  const auto stale = staleness.find(client);
  ClientTurn turn{.client = client, .staleness = stale == staleness.end() ? 0 : stale->second};
  const std::span<const float> global = turn.staleness == 0 ? parameters : past[turn.staleness - 1];
  Rng order(spec.seed, "local order", turn_index(round, client));
  const TrainLocally train_locally = [&](std::span<const float> start, const LocalTermValues& terms,
                                         std::span<float> after, const LocalPart& part) {
    return trainers[worker].train(start, desk.indices, desk.labels, terms, order, after, part);
  };
  INK_TRY(turn.report, algorithm->train(turn, global, train_locally, desk.scratch, desk.after));
  if (!turn.report.finite) {
    return fail(ErrorCode::kInvalidArgument, "simulation: round ", round, ": client ", client,
                ": the loss is no longer finite: the local rate ", spec.local.rate,
                " is too large");
  }
  std::vector<float> update(std::max(algorithm->upload_length(), parameters.size()), 0.0f);
  std::transform(desk.after.begin(), desk.after.end(), global.begin(), update.begin(),
                 [](float after, float before) { return after - before; });
  std::vector<double> metrics(algorithm->metric_count(), 0.0);
  algorithm->upload(turn, update, metrics);
  update.resize(algorithm->upload_length());
  attack(client, update);
  tally.examples += turn.report.examples;
  tally.loss += turn.report.loss;
  federated::SeededRounding rounding(spec.seed, turn_index(round, client));
  const auto weight =
      static_cast<std::uint32_t>(std::min<std::size_t>(turn.report.examples, config.weight_max));
  return federated::encode_update(
      config, context, {.delta = update, .weight = weight, .metrics = metrics}, rounding);
}

// A masked group is played by one worker; its clients' tallies are kept apart, so that the sum of
// their losses is taken in one order.
Result<std::vector<std::uint64_t>> Simulation::State::sum_group(const Group& group,
                                                                const secagg::Config& config,
                                                                std::span<Tally> tallies,
                                                                unsigned worker) {
  const secagg::RoundIdentity round_identity = identity(group.index);
  const secagg::Hash context = secagg::context_of(round_identity, secagg::encode_config(config));
  secagg::SystemEntropy entropy;
  return sum_masked(
      {.config = config,
       .identity = round_identity,
       .reporting = group.clients.size(),
       .lost = group.lost},
      [&](std::size_t i) {
        return play_client(config, context, group.clients[i], worker, tallies[i]);
      },
      entropy);
}

Result<void> Simulation::State::sum_groups(std::span<const Group> groups,
                                           std::span<const secagg::Config> configs,
                                           std::vector<std::vector<std::uint64_t>>& sums,
                                           std::span<Tally> tallies) {
  for (Desk& desk : desks) desk.failure = {};
  const auto first_of = [&](const Group& group) {
    return static_cast<std::size_t>(group.clients.data() - groups[0].clients.data());
  };
  const auto note = [&](unsigned worker, const auto& result) {
    if (!result && desks[worker].failure)
      desks[worker].failure = tl::unexpected<Error>(result.error());
  };
  if (spec.groups.masked) {
    pool.parallel_for(groups.size(), 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
      for (std::size_t g = begin; g < end; ++g) {
        sums[g].assign(configs[g].input_length(), 0);
        if (!is_mine(g)) continue;
        auto sum = sum_group(groups[g], configs[g], tallies.subspan(first_of(groups[g])), worker);
        note(worker, sum);
        if (sum) sums[g] = std::move(*sum);
      }
    });
  } else {
    std::vector<std::uint32_t> group_of(tallies.size());
    std::vector<secagg::Hash> contexts;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      contexts.push_back(secagg::context_of(identity(g), secagg::encode_config(configs[g])));
      std::fill_n(group_of.begin() + static_cast<std::ptrdiff_t>(first_of(groups[g])),
                  groups[g].clients.size(), static_cast<std::uint32_t>(g));
      sums[g].assign(configs[g].input_length(), 0);
    }
    std::vector<std::mutex> locks(groups.size());
    const std::uint64_t* clients = groups[0].clients.data();
    pool.parallel_for(tallies.size(), 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
      for (std::size_t i = begin; i < end; ++i) {
        if (!is_mine(i)) continue;
        const std::uint32_t g = group_of[i];
        const auto ring = play_client(configs[g], contexts[g], clients[i], worker, tallies[i]);
        note(worker, ring);
        if (!ring) continue;
        const std::lock_guard lock(locks[g]);
        const std::uint64_t mask = configs[g].ring_mask();
        for (std::size_t j = 0; j < ring->size(); ++j)
          sums[g][j] = (sums[g][j] + (*ring)[j]) & mask;
      }
    });
  }
  if (ranks != nullptr && ranks->count() > 1) return share_sums(configs, sums, tallies);
  for (const Desk& desk : desks) INK_CHECK_OK(desk.failure);
  return {};
}

// What each rank has of the groups' sums, and of the tallies, of which each client's is one rank's:
// their bits add up to themselves. A failure of one rank is told to all, so that none waits.
Result<void> Simulation::State::share_sums(std::span<const secagg::Config> configs,
                                           std::vector<std::vector<std::uint64_t>>& sums,
                                           std::span<Tally> tallies) {
  const auto broken =
      std::find_if(desks.begin(), desks.end(), [](const Desk& desk) { return !desk.failure; });
  std::uint64_t failures = broken != desks.end() ? 1 : 0;
  INK_CHECK_OK(ranks->add_up({&failures, 1}));
  if (broken != desks.end()) return broken->failure;
  if (failures > 0)
    return fail(ErrorCode::kFailedPrecondition, "simulation: round ", round, ": ", failures,
                " other ranks failed");
  for (std::size_t g = 0; g < sums.size(); ++g) {
    INK_CHECK_OK(ranks->add_up(sums[g]));
    for (std::uint64_t& value : sums[g]) value &= configs[g].ring_mask();
  }
  std::vector<std::uint64_t> bits;
  for (const Tally& tally : tallies) {
    bits.push_back(tally.examples);
    bits.push_back(std::bit_cast<std::uint64_t>(tally.loss));
  }
  INK_CHECK_OK(ranks->add_up(bits));
  for (std::size_t i = 0; i < tallies.size(); ++i) {
    tallies[i].examples = bits[2 * i];
    tallies[i].loss = std::bit_cast<double>(bits[2 * i + 1]);
  }
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

// fltrust: what the server's own examples, the same in each round, would upload as a client.
Result<std::vector<float>> Simulation::State::train_root() {
  std::vector<std::uint32_t> root;
  Rng draw(spec.seed, "root");
  while (root.size() < spec.groups.root_examples) {
    const auto example = static_cast<std::uint32_t>(draw.below(data.train->size()));
    if (std::find(root.begin(), root.end(), example) == root.end()) root.push_back(example);
  }
  Rng order(spec.seed, "local order", turn_index(round, kServer));
  const TrainLocally train_locally = [&](std::span<const float> start, const LocalTermValues& terms,
                                         std::span<float> after, const LocalPart& part) {
    return trainers[0].train(start, root, {}, terms, order, after, part);
  };
  Desk& desk = desks[0];
  ClientTurn turn{.client = kServer};
  INK_TRY(turn.report, algorithm->train(turn, parameters, train_locally, desk.scratch, desk.after));
  std::vector<float> update(parameters.size());
  std::transform(desk.after.begin(), desk.after.end(), parameters.begin(), update.begin(),
                 [](float after, float before) { return after - before; });
  algorithm->upload(turn, update, {});
  return update;
}

Result<void> Simulation::State::add_central_noise(RoundMean& mean) const {
  const double sigma = central_sigma(spec.privacy, spec.update.clip_l2, mean.clients);
  if (sigma == 0) return {};
  const auto add = [&](std::uint64_t index, std::span<float> to) -> Result<void> {
    federated::SeededRounding draws(spec.seed, index);
    INK_TRY(auto bits, privacy::RandomBits::create(draws));
    privacy::add_gaussian_noise(to, sigma, bits);
    return {};
  };
  if (spec.privacy.place != NoisePlace::kTree) return add(turn_index(round, kServer), mean.upload);
  // A node has the same noise when it goes as when it came.
  const TreeStep step = tree_step(round);
  std::vector<float> gone(mean.upload.size(), 0.0f);
  for (const std::uint64_t node : step.come) INK_CHECK_OK(add(kTreeNode | node, mean.upload));
  for (const std::uint64_t node : step.go) INK_CHECK_OK(add(kTreeNode | node, gone));
  for (std::size_t i = 0; i < gone.size(); ++i) mean.upload[i] -= gone[i];
  return {};
}

Result<RoundMean> Simulation::State::combine_groups(
    std::span<const Group> groups, std::span<const secagg::Config> configs,
    std::span<const std::vector<std::uint64_t>> sums) {
  RoundMean round_mean{.upload = {},
                       .metrics = std::vector<double>(algorithm->metric_count(), 0.0)};
  std::vector<std::vector<float>> deltas;
  std::vector<GroupUpdate> updates;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto members = static_cast<std::uint32_t>(groups[g].clients.size());
    const secagg::Hash context = secagg::context_of(identity(g), secagg::encode_config(configs[g]));
    INK_TRY(federated::MeanUpdate mean,
            federated::decode_sum(configs[g], context, sums[g], members));
    deltas.push_back(std::move(mean.delta));
    updates.push_back({.delta = deltas.back(), .weight = static_cast<double>(mean.weight_sum)});
    round_mean.clients += members;
    for (std::size_t m = 0; m < mean.metric_sums.size(); ++m)
      round_mean.metrics[m] += mean.metric_sums[m];
  }
  for (double& metric : round_mean.metrics) metric /= static_cast<double>(round_mean.clients);
  std::vector<float> reference;
  if (spec.groups.rule == GroupRule::kFlTrust) {
    INK_TRY(reference, train_root());
  }
  INK_TRY(round_mean.upload,
          group_mean(updates, group_mean_spec(spec.groups, groups.size(), reference)));
  INK_CHECK_OK(add_central_noise(round_mean));
  return round_mean;
}

CohortOutcome Simulation::State::fill_buffer(
    const Workload& work, const std::function<std::size_t(std::uint64_t)>& examples_of) {
  AsyncOutcome buffer = async->play(population, steps, virtual_s, work, [&](std::uint64_t client) {
    return static_cast<double>(examples_of(client));
  });
  CohortOutcome cohort{
      .reported = {},
      .lost = std::move(buffer.lost),
      .asked = buffer.asked,
      .seconds = buffer.seconds,
      .complete = buffer.reported.size() >= std::max<std::size_t>(spec.cohort.size_min, 1)};
  staleness.clear();
  for (const AsyncOutcome::Report& report : buffer.reported) {
    cohort.reported.push_back(report.client);
    if (report.staleness > 0) staleness.emplace(report.client, report.staleness);
  }
  return cohort;
}

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
