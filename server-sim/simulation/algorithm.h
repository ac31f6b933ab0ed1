#pragma once
// Algorithm: one federated algorithm, as what a client does beside local SGD and what the server
// does with the mean of what clients uploaded.
//
// Everything a client uploads travels as one vector that is only ever seen summed, and a few metric
// numbers, also summed: an algorithm that needs more cannot be written here, which is the point.
// Each algorithm is one file in algorithms/ with its client and server stages side by side.
//
// prepare() and upload() run on any worker, for different clients at once; merge() alone changes
// what the server holds, between rounds.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/bytes.h"
#include "server-sim/aggregator/server_optimizer.h"
#include "server-sim/simulation/local_trainer.h"

namespace inkling {

class Algorithm;
struct AlgorithmContext;
struct AlgorithmSpec;

using MakeAlgorithm = std::unique_ptr<Algorithm>(const AlgorithmSpec&, const AlgorithmContext&,
                                                 ServerOptimizer);

struct AlgorithmSpec {
  std::string name = "fedavg";  // see make_algorithm()
  ServerOptimizerSpec server = {};
  double mu = 0.01;               // fedprox
  MakeAlgorithm* make = nullptr;  // one of your own, in place of those that have a name
};

// What the server knows of the experiment when an algorithm is made.
struct AlgorithmContext {
  std::size_t parameters = 0;
  std::uint64_t clients = 0;  // population
  double local_rate = 0;
};

// One client in one round.
struct ClientTurn {
  std::uint64_t client = 0;
  LocalReport report = {};  // upload() only
};

// What a round's uploads come to.
struct RoundMean {
  std::vector<float> upload;    // f32[upload_length()], weighted mean
  std::vector<double> metrics;  // f64[metric_count()], plain mean
  std::size_t clients = 0;      // how many
};

class Algorithm {
 public:
  virtual ~Algorithm() = default;

  virtual LocalTerms terms() const { return {}; }
  virtual std::size_t upload_length() const { return parameters_; }
  virtual std::size_t metric_count() const { return 0; }
  virtual double metric_bound() const { return 1; }  // metrics lie in +-this
  // Clients remember something from one of their rounds to the next.
  virtual bool has_client_state() const { return false; }

  // Client, before training. scratch: f32[parameters], for a correction.
  virtual LocalTermValues prepare(const ClientTurn&, std::span<float>) { return {}; }
  // Client, after training. update: f32[upload_length()] with the delta in its first `parameters`
  // places; it leaves as what is uploaded. metrics: f64[metric_count()].
  virtual void upload(const ClientTurn&, std::span<float> /*update*/,
                      std::span<double> /*metrics*/) {}
  // Server.
  virtual Result<void> merge(const RoundMean& mean, std::span<float> parameters) {
    return optimizer_.step(parameters, mean.upload);
  }

  // State beside the model, for checkpoints.
  virtual Bytes save() const { return optimizer_.save(); }
  virtual Result<void> load(ByteSpan bytes) { return optimizer_.load(bytes); }

 protected:
  Algorithm(const AlgorithmContext& context, ServerOptimizer optimizer)
      : parameters_(context.parameters), optimizer_(std::move(optimizer)) {}
  std::size_t parameters_;
  ServerOptimizer optimizer_;
};

// By name: fedavg, fedavgm, fedadagrad, fedadam and fedyogi (the rules of server_optimizer.h),
// fedprox, scaffold, fednova, signsgd. kInvalidArgument: another name. kUnsupported, with the
// reason: one that sums alone cannot carry.
Result<std::unique_ptr<Algorithm>> make_algorithm(const AlgorithmSpec& spec,
                                                  const AlgorithmContext& context);

// One a file in algorithms/.
MakeAlgorithm make_fedavg, make_fednova, make_fedprox, make_scaffold, make_signsgd;

}  // namespace inkling
