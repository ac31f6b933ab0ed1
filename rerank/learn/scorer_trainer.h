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
#include "rerank/scorer.h"

namespace inkling {

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
