#pragma once
// Algorithm: one federated algorithm, as what a client does beside local SGD and what the server
// does with the mean of what clients uploaded.
//
// Everything a client uploads travels as one vector that is only ever seen summed, and a few metric
// numbers, also summed: an algorithm that needs more cannot be written here, which is the point.
// Each algorithm is one file in algorithms/ with its client and server stages side by side.
//
// prepare(), train() and upload() run on any worker, for different clients at once; begin_round()
// and merge() alone change what the server holds, between the rounds' training.

#include <cstdint>
#include <functional>
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

using MakeAlgorithm = Result<std::unique_ptr<Algorithm>>(const AlgorithmSpec&,
                                                         const AlgorithmContext&, ServerOptimizer);

struct AlgorithmSpec {
  std::string name = "fedavg";  // see make_algorithm()
  ServerOptimizerSpec server = {};
  double mu = 0.01;  // fedprox; ditto's and pfedme's pull between a client's model and the global
  // fedper, fedrep: variables that stay on the device (names as in the architecture).
  std::vector<std::string> personal = {};
  std::size_t head_epochs = 1;       // fedrep: local epochs of those, before the others'
  std::size_t local_rounds = 5;      // pfedme
  double personal_rate = 1;          // pfedme: eta
  std::size_t concurrency = 0;       // fedbuff: clients at work at a time; 0: as many as a cohort
  std::uint64_t staleness_max = 10;  // fedbuff: server steps that an update may lag behind
  double clip_initial = 0.1, clip_quantile = 0.5, clip_rate = 0.2;  // adaptive_clip
  double keep = 0.1;  // randomk, count_sketch: share of the coordinates that a round moves
  std::size_t sketch_rows = 5, sketch_columns = 1024;  // count_sketch
  MakeAlgorithm* make = nullptr;  // one of your own, in place of those that have a name
};

// What the server knows of the experiment when an algorithm is made.
struct AlgorithmContext {
  std::size_t parameters = 0;
  std::uint64_t clients = 0;  // population
  double local_rate = 0;
  std::uint64_t seed = 1;
  std::size_t cohort = 1;
  double clip_l2 = 0;                              // UpdateSpec's
  std::span<const ParameterSlice> variables = {};  // while it is made
};

// One client in one round.
struct ClientTurn {
  std::uint64_t client = 0;
  std::uint64_t staleness = 0;  // server steps since the model that it trained from
  LocalReport report = {};      // upload() only
};

// Trains on the client's examples, as LocalTrainer::train does.
using TrainLocally =
    std::function<Result<LocalReport>(std::span<const float> start, const LocalTermValues&,
                                      std::span<float> after, const LocalPart&)>;

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

  // Clients at work at a time, each reporting whenever it is done; 0: in rounds.
  virtual std::size_t concurrency() const { return 0; }

  // Server, before the clients of a round, from 1, are trained.
  virtual void begin_round(std::uint64_t /*round*/) {}
  // Client, before training. scratch: f32[parameters], for a correction.
  virtual LocalTermValues prepare(const ClientTurn&, std::span<float>) { return {}; }
  // Client: `after`, f32[parameters], less `global` is the delta. scratch: as prepare's.
  virtual Result<LocalReport> train(const ClientTurn& turn, std::span<const float> global,
                                    const TrainLocally& train_locally, std::span<float> scratch,
                                    std::span<float> after) {
    return train_locally(global, prepare(turn, scratch), after, {});
  }
  // Client, after training. update: f32[the longer of upload_length() and parameters] with the
  // delta in its first `parameters` places; what its first upload_length() are then is uploaded.
  // metrics: f64[metric_count()].
  virtual void upload(const ClientTurn&, std::span<float> /*update*/,
                      std::span<double> /*metrics*/) {}
  // Server.
  virtual Result<void> merge(const RoundMean& mean, std::span<float> parameters) {
    return optimizer_.step(parameters, mean.upload);
  }

  // Clients have models of their own, of which this makes the client's: `model` holds the global
  // one. For different clients at once.
  virtual bool has_personal_models() const { return false; }
  virtual void personalise(std::uint64_t /*client*/, std::span<float> /*model*/) const {}

  // State beside the model, for checkpoints.
  virtual Bytes save() const { return optimizer_.save(); }
  virtual Result<void> load(ByteSpan bytes) { return optimizer_.load(bytes); }

 protected:
  Algorithm(const AlgorithmContext& context, ServerOptimizer optimizer)
      : parameters_(context.parameters), optimizer_(std::move(optimizer)) {}
  std::size_t parameters_;
  ServerOptimizer optimizer_;
};

// By name: fedavg, fedavgm, fedadagrad, fedadam and fedyogi (the rules of server_optimizer.h), and
// those below. kInvalidArgument: another name, or a setting out of range. kUnsupported, with the
// reason: one that sums alone cannot carry.
Result<std::unique_ptr<Algorithm>> make_algorithm(const AlgorithmSpec& spec,
                                                  const AlgorithmContext& context);

// One a file in algorithms/.
MakeAlgorithm make_adaptive_clip, make_count_sketch, make_ditto, make_fedavg, make_fedbuff,
    make_fednova, make_fedper, make_fedprox, make_fedrep, make_pfedme, make_randomk, make_scaffold,
    make_signsgd;

}  // namespace inkling
