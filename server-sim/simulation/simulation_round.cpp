// The work of a round: clients, sums, and the one update that comes of them.

#include <algorithm>
#include <bit>
#include <mutex>

#include "federated/privacy/gaussian_noise.h"
#include "federated/seeded_rounding.h"
#include "federated/update.h"
#include "server-sim/simulation/masked_group.h"
#include "server-sim/simulation/simulation_state.h"

namespace inkling {

namespace {

constexpr std::uint64_t kTreeNode = std::uint64_t{1} << 63;  // no round's turn has this bit

}  // namespace

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

// fltrust: what the server's own examples, the same in each round, would upload as a client.
Result<std::vector<float>> Simulation::State::train_root() {
  std::vector<std::uint32_t> root;
  Rng draw(spec.seed, "root");
  while (root.size() < spec.groups.root_examples) {
    const auto example = static_cast<std::uint32_t>(draw.below(data.train->size()));
    if (std::find(root.begin(), root.end(), example) == root.end()) root.push_back(example);
  }
  Rng order(spec.seed, "local order", turn_index(round, kServerClient));
  const TrainLocally train_locally = [&](std::span<const float> start, const LocalTermValues& terms,
                                         std::span<float> after, const LocalPart& part) {
    return trainers[0].train(start, root, {}, terms, order, after, part);
  };
  Desk& desk = desks[0];
  ClientTurn turn{.client = kServerClient};
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
  if (spec.privacy.place != NoisePlace::kTree)
    return add(turn_index(round, kServerClient), mean.upload);
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

}  // namespace inkling
