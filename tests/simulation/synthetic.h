#pragma once
// A small classification problem that a linear model can learn, for tests of the simulator.

#include "runtime/base/rng.h"
#include "server-sim/simulation/simulation.h"

namespace inkling {

// f32[6] features around one of three centres; label = the centre.
inline ExampleSet make_blobs(std::size_t examples, std::uint64_t seed) {
  constexpr std::size_t kWidth = 6, kLabels = 3;
  Rng rng(seed, "blobs");
  std::vector<float> values;
  std::vector<std::uint32_t> labels;
  for (std::size_t i = 0; i < examples; ++i) {
    labels.push_back(static_cast<std::uint32_t>(i % kLabels));
    for (std::size_t j = 0; j < kWidth; ++j) {
      const double centre = j % kLabels == labels.back() ? 2.0 : 0.0;
      values.push_back(static_cast<float>(centre + rng.normal()));
    }
  }
  return ExampleSet::from_values({kWidth}, std::move(values), std::move(labels), kLabels).value();
}

struct SmallWorld {
  ExampleSet train = make_blobs(600, 1), test = make_blobs(300, 2);
  PartitionPtr partition = partition_dirichlet(train.labels(), 30, 0.5, 3).value();
  SimulationSpec spec;

  SmallWorld() {
    spec.rounds = 5;
    spec.local = {.epochs = 2, .batch = 8, .rate = 0.1};
    spec.cohort = {.size = 12, .size_min = 6};
  }
  SimulationData data() const {
    return {.train = &train, .test = &test, .partition = partition.get()};
  }
  Simulation make() const { return Simulation::create(spec, data()).value(); }
};

inline std::vector<RoundRecord> play_all(Simulation& simulation, std::uint64_t rounds) {
  std::vector<RoundRecord> records;
  while (simulation.rounds_played() < rounds) records.push_back(simulation.play_round().value());
  return records;
}

}  // namespace inkling
