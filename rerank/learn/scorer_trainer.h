#pragma once
// Trains a scorer's variables on many people's slates: softmax cross-entropy over each slate (of
// which the conditional logit is the simplest case), in minibatches, by the project's own autograd.
//
// A batch is one graph in which the scorer stands once a slate, all copies sharing their variables;
// forward, backward and step are planned together once.

#include <functional>
#include <optional>

#include "autograd/trainer.h"
#include "rerank/learn/replay.h"
#include "rerank/learn/training_data.h"
#include "rerank/scorer.h"

namespace inkling {

// The steps themselves, for whoever decides what is in a batch.
class ScorerTrainer {
 public:
  // Steps on up to `batch` slates of up to `alternatives` items. kInvalidArgument: not a scorer, or
  // no room.
  static Result<ScorerTrainer> create(const Model& scorer, std::size_t alternatives,
                                      std::size_t batch, const Optimizer& optimizer,
                                      const PlanOptions& plan = {});

  // The loss is the sum over the examples divided by `batch`, also where there are fewer.
  // kInvalidArgument: rows of another width. kResourceLimit: more than fit. kFailedPrecondition:
  // the loss is not finite.
  Result<double> step(std::span<const Example* const> examples, double rate);

  std::size_t parameter_count() const { return trainer_.parameter_count(); }
  std::vector<float> get_parameters() const { return trainer_.get_parameters(); }
  // Forgets the optimizer's moments. kInvalidArgument: another number of them.
  Result<void> set_parameters(std::span<const float> values) {
    return trainer_.set_parameters(values);
  }

 private:
  // The inputs of one slate of the batch.
  struct Slot {
    SlateBatch slate;
    std::optional<TensorView> past, present;
  };
  explicit ScorerTrainer(Trainer trainer) : trainer_(std::move(trainer)) {}
  static Result<void> fill(const Example& example, const Slot& slot);

  Trainer trainer_;
  std::vector<Slot> slots_;
};

struct ScorerTrainingSpec {
  std::size_t batch = 16;  // slates
  int epochs = 4;
  double rate = 1e-3;  // falls to zero over all steps as a half cosine
  double weight_decay = 1e-4;
  std::uint64_t seed = 1;  // of the order of slates
  PlanOptions plan = {};
};

// The scorer with trained variables. Examples in which nothing, or everything, was chosen teach
// nothing and are passed over; the last slates of an epoch that fill no batch wait for the next
// one. `report` gets the mean loss of each epoch. kInvalidArgument: not a scorer, fewer examples
// than a batch, or rows of another width. kFailedPrecondition: the loss stopped being finite.
Result<Model> train_scorer(const Model& scorer, std::span<const Example> examples,
                           const ScorerTrainingSpec& spec,
                           const std::function<void(int, double)>& report = {});

}  // namespace inkling
