#pragma once
// Training data from the behaviour log: what was shown together, and what was chosen from it.
//
// The features are those that the model saw when the slate was shown: they come from the log, and
// are never computed again, so training and serving cannot drift apart.

#include "rerank/encoded_slate.h"
#include "runtime/tensor.h"

namespace inkling {

// What a shown slate leaves in the log: an impression for each candidate and, when there is a
// choice, one event of `choice` for each a millisecond later. kInvalidArgument as
// FeatureSchema::encode.
Result<std::vector<Event>> slate_events(const Slate& slate, const FeatureSchema& schema,
                                        EventKind choice = EventKind::kBuy);

struct TrainingData {
  std::vector<EncodedSlate> slates{};  // in the order in which they were shown
  std::uint64_t without_choice = 0;    // requests left out: nothing chosen
  std::uint64_t incomplete = 0;        // requests left out: a position lost, or another schema
  std::uint64_t damaged = 0;           // rows that the log skipped
};

// The slates of the log that were logged under `schema`. Every item with an
// event of one of the kinds on a request is chosen. Errors of BehaviorLog::scan.
Result<TrainingData> read_training_data(BehaviorLog& log, const FeatureSchema& schema,
                                        std::span<const EventKind> choices);
Result<TrainingData> read_training_data(BehaviorLog& log, const FeatureSchema& schema,
                                        EventKind choice = EventKind::kBuy);

// The inputs of a training graph over up to `slates` slates of up to `alternatives` alternatives.
struct SlateBatch {
  TensorView features;  // f32[slates * alternatives, width]
  TensorView targets;   // f32[slates, alternatives]: shared equally by the chosen ones
  TensorView mask;      // f32[slates, alternatives]: 0, or kAbsent for places without a candidate
};
inline constexpr float kAbsent = -1e9f;  // added to a score, makes its probability zero

// Writes every number of the batch; unused slates get no target, so they add nothing to a loss.
// kInvalidArgument: slates that check_slates() refuses. kResourceLimit: too many of them, or too
// many alternatives.
Result<void> fill_batch(std::span<const EncodedSlate> slates, const SlateBatch& batch);

}  // namespace inkling
