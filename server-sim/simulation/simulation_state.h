#pragma once
// What a Simulation is made of: set up by simulation_setup.cpp, the work of a round in
// simulation_round.cpp, the rounds and what they leave in simulation.cpp. For these files alone.

#include <deque>
#include <unordered_map>

#include "runtime/base/thread_pool.h"
#include "server-sim/simulation/async_cohort.h"
#include "server-sim/simulation/simulation.h"

namespace inkling {

inline constexpr std::uint64_t kServerClient = (std::uint64_t{1} << 40) - 1;  // in draws

// A round in numbers that are unique to (round, client), for keyed draws.
inline std::uint64_t turn_index(std::uint64_t round, std::uint64_t client) {
  return round << 40 ^ client;
}

// The clients of a round that are summed together.
struct Group {
  std::span<const std::uint64_t> clients;
  std::size_t lost = 0;
  std::uint64_t index = 0;
};

// As many as the protocol takes together, or `size` and what is over.
std::vector<Group> cut_groups(const CohortOutcome& cohort, std::size_t size);
GroupMeanSpec group_mean_spec(const GroupSpec& spec, std::size_t groups,
                              std::span<const float> reference);

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

}  // namespace inkling
