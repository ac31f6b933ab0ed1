// A federated algorithm of your own, without touching the library: each client's update counts for
// its direction alone. Five rounds over Fashion-MNIST, beside FedAvg:
//
//   my_algorithm
#include <cmath>
#include <cstdio>

#include "autograd/data/fashion_mnist.h"
#include "server-sim/simulation/simulation.h"

namespace {

using namespace inkling;

// The client's stage turns its update into a vector of length 0.5; the server's is FedAvg's.
class Directions final : public Algorithm {
 public:
  Directions(const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)) {}
  void upload(const ClientTurn&, std::span<float> update, std::span<double>) override {
    double square = 0;
    for (const float v : update) square += double{v} * v;
    if (square == 0) return;
    for (float& v : update) v *= static_cast<float>(0.5 / std::sqrt(square));
  }
};

Result<std::unique_ptr<Algorithm>> make_directions(const AlgorithmSpec&,
                                                   const AlgorithmContext& context,
                                                   ServerOptimizer optimizer) {
  return std::make_unique<Directions>(context, std::move(optimizer));
}

Result<ExampleSet> load(DataSplit split) {
  INK_TRY(LabelledImages data, load_fashion_mnist(split));
  return ExampleSet::from_pixels(Shape({28, 28, 1}), std::move(data.images.pixels), 72.94f, 90.02f,
                                 {data.labels.begin(), data.labels.end()}, 10);
}

Result<double> accuracy_of(const AlgorithmSpec& algorithm, const SimulationData& data) {
  SimulationSpec spec{.rounds = 5, .threads = 2};
  spec.architecture.name = "logistic";
  spec.local = {.epochs = 1, .batch = 10, .rate = 0.01};
  spec.algorithm = algorithm;
  spec.cohort.size = 20;
  spec.cohort.size_min = 10;
  INK_TRY(Simulation simulation, Simulation::create(spec, data));
  RoundRecord last;
  while (simulation.rounds_played() < spec.rounds) {
    INK_TRY(last, simulation.play_round());
  }
  return last.evaluation->accuracy;
}

Result<void> run() {
  INK_TRY(const ExampleSet train, load(DataSplit::kTrain));
  INK_TRY(const ExampleSet test, load(DataSplit::kTest));
  INK_TRY(const PartitionPtr people, partition_dirichlet(train.labels(), 100, 0.5, 1));
  const SimulationData data{.train = &train, .test = &test, .partition = people.get()};
  INK_TRY(const double average, accuracy_of({.name = "fedavg"}, data));
  INK_TRY(const double directions, accuracy_of({.make = make_directions}, data));
  std::printf("fedavg %.4f, directions %.4f\n", average, directions);
  return {};
}

}  // namespace

int main() {
  const auto done = run();
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
