#pragma once
// Personaliser: learns one person's patch from their own log, on their own device.
//
// The patch minimises, by the project's own autograd, full batch,
//   sum over the person's slates of -log P(chosen)  +  pull * |w - global|^2,
// so with little data the weights stay near the global ones. Forward, backward and step are planned
// once in create(); every person, pull and held-back part that fits the shapes then reuses the
// plan. The result depends on the model, the slates and the pull alone: not on who was fitted
// before, nor on the number of threads.
//
// One thread at a time.

#include <optional>

#include "autograd/trainer.h"
#include "rerank/learn/training_data.h"
#include "rerank/patch.h"
#include "rerank/scorer.h"

namespace inkling {

struct PersonaliserSpec {
  std::size_t slates_max = 64;  // more: the latest count
  std::size_t alternatives_max = 16;
  int steps = 100;
  double rate = 0.25;  // falls to zero over the steps as a half cosine
  Optimizer optimizer = Adam{};
  PlanOptions plan = {};
};

class Personaliser {
 public:
  // kInvalidArgument: not a scorer, nothing in it to train, or empty shapes. kUnsupported: an op
  // without a derivative.
  static Result<Personaliser> create(const Model& global, const PersonaliserSpec& spec);

  // The patch, or nothing when there are no slates to learn from. kInvalidArgument: slates that
  // check_slates() refuses, or a pull that is not a finite number >= 0. kResourceLimit: more
  // alternatives than alternatives_max. kFailedPrecondition: the loss stopped being finite.
  Result<std::optional<Patch>> personalise(std::span<const EncodedSlate> slates, double pull);

  // The sum over slates of -log P(chosen) with the patch, or without one. Limits as above.
  Result<double> nll_sum(std::span<const EncodedSlate> slates, const Patch* patch);

  // What each pull would have done on the person's own latest slates: fits on all but the last
  // `held_back` ones and returns their nll_sum, one a pull. kInvalidArgument: not 0 < held_back <
  // slates.
  Result<std::vector<double>> held_back_nll(std::span<const EncodedSlate> slates,
                                            std::size_t held_back, std::span<const double> pulls);

  std::size_t memory_bytes() const { return trainer_.memory_bytes(); }

 private:
  Personaliser(Trainer trainer, const PersonaliserSpec& spec)
      : trainer_(std::move(trainer)), spec_(spec) {}
  Result<void> load(std::span<const EncodedSlate> slates, double pull);

  Trainer trainer_;
  PersonaliserSpec spec_;
  Sha256Digest base_{};
  std::vector<float> global_;
  SlateBatch batch_;
  TensorView pull_;
};

}  // namespace inkling
