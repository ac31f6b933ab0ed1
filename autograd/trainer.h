#pragma once
// Trainer: a graph with a loss, made ready to learn.
//
// create() differentiates the loss with respect to the variables to train, appends the optimizer's
// update of each as nodes, and plans forward, backward and step as one program in one arena. Its
// memory is known before the first step, so an app can refuse. Frozen variables and everything
// before them keep no activations and cost no backward work.
//
//   INK_TRY(Trainer trainer, Trainer::create(graph, {.loss = loss, .train = {w, b}, .optimizer =
//   Adam{}}));
//   ... fill trainer.input("images"), trainer.input("targets") ...
//   StepReport report = trainer.step(0.001);
//
// One thread at a time; the same seed and data give the same bits on any number of threads.

#include <span>
#include <string>
#include <vector>

#include "autograd/optimizer.h"
#include "runtime/session.h"

namespace inkling {

struct TrainSpec {
  ValueId loss;                // one float
  std::vector<ValueId> train;  // variables; others stay as they are
  Optimizer optimizer = Adam{};
  double clip_value = 0;  // > 0: each element of the gradients is kept within +- this; then
  double clip_norm = 0;   // > 0: the gradients together are scaled down to this L2 norm
  // Of a table that is only gathered from, only the rows that were read are differentiated and
  // stepped, where that gives the same numbers (Sgd and Adagrad without momentum and decay). With
  // lazy_rows always: rows that were not read keep their weights and moments, without decay, until
  // they are, as with PyTorch's SparseAdam.
  bool lazy_rows = false;
  // > 0: beside the weights, their running mean is kept: m' = d m + (1 - d) w with d =
  // min(average, (1 + t) / (10 + t)) at step t, so that the first weights are soon forgotten.
  double average = 0;
  // The batch in so many pieces, one after the other (autograd/micro_batches.h): the graph and its
  // loss, a mean over rows, are those of one piece, the trainer's inputs are `pieces` times as
  // long.
  std::size_t pieces = 1;
  // > 0: where Trainer::memory_bytes() would be more, activations are computed again
  // (autograd/recompute.h), in as few segments as that takes.
  std::size_t memory_budget_bytes = 0;
  PlanOptions plan = {};
};

struct StepReport {
  double loss;  // before the step
  bool finite;  // false: the loss was NaN or infinite, and the weights cannot be trusted any more
};

// Where a trained variable lies in the flat parameter vector.
struct ParameterSlice {
  std::string name;
  Shape shape;
  std::size_t offset;  // in elements
};

class Trainer {
 public:
  // kInvalidArgument: nothing to train, a value that is not a variable, or the wrong loss.
  // kUnsupported: no derivative. kResourceLimit: more than the budget, however much is recomputed.
  static Result<Trainer> create(Graph graph, const TrainSpec& spec);

  Result<TensorView> input(std::string_view name) { return session_.input(name); }
  Result<TensorView> output(std::string_view name) { return session_.output(name); }

  StepReport step(double rate) noexcept;

  // Everything that training allocates: arena, weights, moments and packed constants.
  std::size_t memory_bytes() const;
  std::size_t segments() const { return segments_; }  // 1: nothing is computed twice

  // The trained variables as one vector, in the order of TrainSpec::train: what federation uploads
  // and what a patch stores. set_parameters also forgets the optimizer's moments when
  // `reset_moments`, and the running mean begins anew. Sizes must agree.
  std::size_t parameter_count() const;
  std::span<const ParameterSlice> parameters() const { return slices_; }
  std::vector<float> get_parameters() const;
  void copy_parameters(std::span<float> to) const;  // f32[parameter_count()]
  Result<void> set_parameters(std::span<const float> values, bool reset_moments = true);

  // The running mean of the variables; the variables themselves without TrainSpec::average.
  std::vector<float> get_averages() const;

  // Weights, moments, means and the number of steps: going on from a restored state gives the bits
  // of going on without a break. kInvalidArgument: a state of another size.
  std::vector<float> save_state() const;
  Result<void> restore_state(std::span<const float> state);

 private:
  Trainer(Session session, std::vector<ParameterSlice> slices)
      : session_(std::move(session)), slices_(std::move(slices)) {}
  std::vector<TensorView> state() const;
  Session session_;
  std::size_t segments_ = 1;
  std::vector<ParameterSlice> slices_;
  std::vector<TensorView> weights_, moments_, averages_;
  double average_ = 0;
  TensorView rate_, step_, loss_;
  TensorView average_share_;  // of the new weights in the mean; without data when none is kept
};

}  // namespace inkling
