#pragma once
// Learner: a classifier that goes on learning where it is used. It keeps a bounded number of
// examples (autograd/example_memory.h), trains a small part of the model on them within a budget
// of time and memory, and keeps what it learnt as a patch (autograd/model_patch.h) that is refused
// on any other base.
//
//   INK_TRY(Learner learner, Learner::open("model.ink", {.train = "bias"}, clock));
//   INK_CHECK_OK(learner.observe(picture, 3));             // as things happen
//   INK_TRY(AdaptReport report, learner.adapt({.budget_ms = 2000, .memory_bytes = 64 << 20}));
//   INK_TRY(const auto probabilities, learner.predict(picture));
//   INK_TRY(const Bytes patch, learner.save_patch());      // for load_patch after the next open
//
// Predictions are those of the patch as it is saved: load_patch(save_patch()) changes no bit.
// Examples leave neither the object nor the process. One thread at a time.

#include <optional>

#include "autograd/example_memory.h"
#include "autograd/model_patch.h"
#include "autograd/trainer.h"
#include "runtime/base/clock.h"

namespace inkling {

inline constexpr std::size_t kExamplesMax = std::size_t{1} << 20;

struct LearnerOptions {
  // parse_train_choice: "head" or "bias" for small patches. With "head" the frozen part of the
  // model runs once an example, when it is observed, and only its features are kept.
  std::string train = "head";
  // Other classes than the model's: its last layer is replaced by a new one that knows nothing yet.
  // Empty: the model's own, and its own last layer goes on learning (with "head", or as a part of
  // what `train` names).
  std::vector<std::string> classes = {};
  std::string features = {};  // with `classes`: where to cut the model (cut_head)
  std::size_t examples_max = 256;
  std::uint64_t seed = 1;
  PlanOptions plan = {};
};

struct AdaptSpec {
  // Of the whole call, on the clock; 0: no limit. A step is begun only if one like the longest so
  // far would end in time; at least one is made.
  std::int64_t budget_ms = 0;
  // The most blocks of tensors and arenas that the call holds beyond what the Learner held before
  // it; 0: no limit. To fit, activations are computed again and the batch is halved.
  std::size_t memory_bytes = 0;
  std::size_t steps_max = 100;
  std::size_t batch_max = 16;
  double rate = 1e-3;  // of Adam
};

struct AdaptReport {
  std::size_t steps = 0, batch = 0, segments = 0;
  std::size_t memory_bytes = 0;  // what the call allowed for, at most AdaptSpec::memory_bytes
  double first_loss = 0, last_loss = 0;
  bool out_of_time = false;  // steps_max was not reached
};

class Learner {
 public:
  // A model of one f32 input [1, ...] whose first output is a softmax over its classes. The clock
  // outlives the learner. kInvalidArgument, kNotFound, kUnsupported: another kind of model, or
  // nothing to train in it; as open_model otherwise.
  static Result<Learner> open(const Path& model, const LearnerOptions& options, const Clock& clock);

  std::size_t example_size() const { return example_size_; }  // floats of an input
  std::span<const std::string> classes() const { return classes_; }
  const ExampleMemory& examples() const { return examples_; }

  // The input as the model takes it, and which class it is. kInvalidArgument: another size, a label
  // that is none, or a number that is not finite.
  Result<void> observe(std::span<const float> example, std::uint32_t label);
  void forget_examples() { examples_.clear(); }

  // Goes on from the patch that there is. Without time running out, the same calls give the same
  // bits on any number of threads. On failure the patch stays as it was. kFailedPrecondition: no
  // examples, or a loss that is not finite. kResourceLimit: a batch of one does not fit.
  Result<AdaptReport> adapt(const AdaptSpec& spec);

  // Probabilities by class; valid until the next call. kInvalidArgument as observe.
  Result<std::span<const float>> predict(std::span<const float> example);

  // kFailedPrecondition: nothing was learnt or loaded.
  Result<Bytes> save_patch() const;
  // kCorrupt: not a patch. kVerification: of another base. kInvalidArgument: of another part of
  // the model or other classes than this learner's.
  Result<void> load_patch(ByteSpan file);
  bool has_patch() const { return !patch_.values.empty(); }
  // Back to the model as it came.
  Result<void> drop_patch();

 private:
  explicit Learner(const Clock& clock) : clock_(&clock) {}
  Result<void> prepare(const LearnerOptions& options);
  Result<void> use(TrainedValues values);
  Result<TrainingGraph> training(std::size_t batch) const;
  Result<Trainer> trainer_within(const AdaptSpec& spec, AdaptReport& report) const;
  Result<void> expect_example(std::span<const float> example) const;

  const Clock* clock_;
  PlanOptions plan_;
  FineTuneSpec spec_;
  ModelPatch patch_;  // with values once something is learnt
  std::vector<std::string> classes_;
  std::size_t example_size_ = 0;
  Graph base_;                     // predictions are trained_graph of it
  Graph trained_base_;             // what a step runs: base_, or only its head
  std::string input_;              // of trained_base_
  std::optional<Session> before_;  // what computes the features that are kept
  std::optional<Session> session_;
  std::size_t trained_bytes_ = 0;  // blocks of the values that are trained
  std::size_t fresh_bytes_ = 0;    // that use() allocates
  ExampleMemory examples_{0, 1, 1, 1};
  std::uint64_t adapted_ = 0;
};

}  // namespace inkling
