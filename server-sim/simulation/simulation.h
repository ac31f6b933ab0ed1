#pragma once
// Federated learning in one process: simulate() plays rounds over a population of devices with the
// update pipeline that real devices run (federated/update.h), and, if asked, with the real machines
// of secure aggregation, on a virtual clock.
//
// Reproducible: the global model after a round is a pure function of the spec and the data. Every
// draw is keyed by (seed, purpose, round, client); updates are summed as ring integers, so that
// neither the number of threads nor the order of clients, nor whether the sum was masked, changes a
// bit.
//
// Memory follows the model and the workers, not the cohort or the population: a cohort costs its
// list of clients, and each group of the aggregation one ring vector.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/base/sha256.h"
#include "server-sim/aggregator/group_mean.h"
#include "server-sim/simulation/algorithm.h"
#include "server-sim/simulation/evaluator.h"
#include "server-sim/simulation/partition.h"
#include "server-sim/simulation/population.h"
#include "server-sim/simulation/ranks.h"
#include "server-sim/simulation/round_noise.h"

namespace inkling {

// How an update becomes ring values (federated/update.h).
struct UpdateSpec {
  double clip_l2 = 10;     // largest L2 norm of what a client uploads
  double scale = 1 << 16;  // quantisation steps per unit
  unsigned ring_bits = 0;  // 0: the fewest that a group's sum fits in
  bool rotate = false;
  bool weigh_by_examples = false;        // else all clients count alike
  std::uint32_t examples_max = 1 << 12;  // the weight of a client with more
};

struct GroupSpec {
  bool masked = false;   // secure aggregation by the real machines; else the same sums in the clear
  std::size_t size = 0;  // clients of a group; 0: all in as few groups as the protocol allows
  // How the groups' means become one. hostile: the share of groups that may be poisoned.
  GroupRule rule = GroupRule::kMean;
  double hostile = 0;
  double norm_max = 1;
  std::size_t root_examples = 100;  // fltrust: clean training examples that the server itself has
};

struct SimulationSpec {
  std::uint64_t seed = 1;
  std::uint64_t rounds = 10;
  std::uint64_t evaluate_every = 10;  // rounds; the last is always evaluated
  unsigned threads = 1;
  Architecture architecture = {};
  LocalSpec local = {};
  AlgorithmSpec algorithm = {};
  CohortSpec cohort = {};
  DeviceSpec devices = {};
  AttackSpec attack = {};
  UpdateSpec update = {};
  GroupSpec groups = {};
  PrivacySpec privacy = {};
};

// What simulate() trains on; all outlive it.
struct SimulationData {
  const ExampleSet* train = nullptr;
  const ExampleSet* test = nullptr;  // null: nothing is evaluated
  const Partition* partition = nullptr;
  // Of the test examples over the same clients, some of whom may have none; null: no client is
  // evaluated with a model of its own.
  const Partition* test_partition = nullptr;
};

struct RoundRecord {
  std::uint64_t round = 0;  // from 1
  bool complete = false;    // false: too few devices reported, and the model did not move
  std::size_t asked = 0, reported = 0, lost = 0;
  std::size_t examples = 0;  // trained on, all clients together
  double loss = 0;           // mean over the reporting clients' steps
  std::optional<Evaluation> evaluation = {};
  // Of the clients' own models on their own test examples, where they have some.
  std::optional<Evaluation> personal = {};
  std::uint64_t bytes_up = 0, bytes_down = 0;  // of the cohort: parameters, keys not counted
  double virtual_s = 0;                        // at the end of the round
  double epsilon = 0;                          // spent so far; measured with the evaluation
};

class Simulation {
 public:
  // Everything that can fail for what the spec says fails here, before the first round. ranks: who
  // else plays it, from the same spec and data; outlives the simulation, null for nobody.
  // kUnsupported with several: an algorithm whose clients have a state, of which each rank would
  // know only a part.
  static Result<Simulation> create(const SimulationSpec& spec, const SimulationData& data,
                                   Ranks* ranks = nullptr);
  Simulation(Simulation&&) noexcept;
  Simulation& operator=(Simulation&&) noexcept;
  ~Simulation();

  // kResourceLimit: the round would exceed the privacy budget, and was not played.
  Result<RoundRecord> play_round();
  std::uint64_t rounds_played() const;

  std::span<const float> parameters() const;
  Sha256Digest model_digest() const;  // of the parameters' bytes
  double noise_multiplier() const;    // 0 without noise
  std::uint64_t clients_trained() const;
  double training_seconds() const;  // wall time of local training and aggregation

  // After any round, everything that the rounds after it depend on. restore() is for a Simulation
  // that was created from the same spec and data; kCorrupt or kVerification otherwise.
  Bytes save() const;
  Result<void> restore(ByteSpan checkpoint);

 private:
  struct State;
  explicit Simulation(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling
