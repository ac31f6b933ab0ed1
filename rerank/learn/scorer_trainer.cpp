#include "rerank/learn/scorer_trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "autograd/losses.h"
#include "rerank/learn/training_data.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"

namespace inkling {

namespace {

std::string place(std::string_view name, std::size_t i) { return concat(name, "/", i); }

constexpr const char* kTargets = "targets";
constexpr const char* kMask = "mask";

// The mean loss of `batch` slates of up to `alternatives` alternatives.
ValueId append_batch_loss(Graph& g, const Graph& scorer, std::size_t batch,
                          std::size_t alternatives) {
  const Shape shape{1, static_cast<std::int64_t>(alternatives)};
  std::vector<ValueId> logits, targets;
  for (std::size_t i = 0; i < batch; ++i) {
    const ValueId scores = append_scorer(g, scorer, alternatives, place("", i));
    const ValueId mask = g.input(place(kMask, i), {DType::kF32, shape});
    logits.push_back(add(g, reshape(g, scores, shape), mask));
    targets.push_back(g.input(place(kTargets, i), {DType::kF32, shape}));
  }
  return softmax_cross_entropy(g, concat(g, logits, 0), concat(g, targets, 0));
}

// The inputs of one slate of the batch.
struct Slot {
  SlateBatch slate;
  std::optional<TensorView> past, present;
};

Result<Slot> find_slot(Trainer& trainer, std::size_t i, bool sequence) {
  Slot slot;
  INK_TRY(slot.slate.features, trainer.input(place(kFeaturesInput, i)));
  INK_TRY(slot.slate.targets, trainer.input(place(kTargets, i)));
  INK_TRY(slot.slate.mask, trainer.input(place(kMask, i)));
  if (sequence) {
    INK_TRY(slot.past, trainer.input(place(kPastInput, i)));
    INK_TRY(slot.present, trainer.input(place(kPresentInput, i)));
  }
  return slot;
}

Result<void> fill_slot(const Example& example, const Slot& slot) {
  INK_CHECK_OK(fill_batch(std::span(&example.slate, 1), slot.slate));
  if (!slot.past) return {};
  return fill_past(example.past, *slot.past, *slot.present);
}

}  // namespace

Result<Model> train_scorer(const Model& scorer, std::span<const Example> examples,
                           const ScorerTrainingSpec& spec,
                           const std::function<void(int, double)>& report) {
  std::vector<const Example*> teaching;
  std::size_t alternatives = 0;
  for (const Example& e : examples) {
    if (e.slate.chosen.empty() || e.slate.chosen.size() >= e.slate.alternatives) continue;
    teaching.push_back(&e);
    alternatives = std::max(alternatives, e.slate.alternatives);
  }
  if (spec.batch == 0 || spec.epochs < 1 || teaching.size() < spec.batch) {
    return fail(ErrorCode::kInvalidArgument, "scorer training: ", teaching.size(),
                " slates to learn from in batches of ", spec.batch, ", ", spec.epochs,
                " epochs: expected at least one batch and epoch");
  }
  INK_TRY(const std::size_t sequence, past_rows(scorer.graph));
  Graph g;
  const ValueId loss = append_batch_loss(g, scorer.graph, spec.batch, alternatives);
  const std::vector<ValueId> weights(g.variables().begin(), g.variables().end());
  INK_TRY(Trainer trainer,
          Trainer::create(std::move(g), {.loss = loss,
                                         .train = weights,
                                         .optimizer = Adam{.weight_decay = spec.weight_decay},
                                         .plan = spec.plan}));
  std::vector<Slot> slots;
  for (std::size_t i = 0; i < spec.batch; ++i) {
    INK_TRY(slots.emplace_back(), find_slot(trainer, i, sequence > 0));
  }
  const std::size_t steps = teaching.size() / spec.batch;
  const double all = static_cast<double>(steps) * spec.epochs;
  double done = 0;
  for (int epoch = 0; epoch < spec.epochs; ++epoch) {
    Rng rng(spec.seed, "scorer training", static_cast<std::uint64_t>(epoch));
    rng.shuffle(teaching);
    double total = 0;
    for (std::size_t step = 0; step < steps; ++step, ++done) {
      for (std::size_t i = 0; i < spec.batch; ++i)
        INK_CHECK_OK(fill_slot(*teaching[step * spec.batch + i], slots[i]));
      const double rate = spec.rate * 0.5 * (1 + std::cos(done / all * std::numbers::pi));
      const StepReport result = trainer.step(rate);
      if (!result.finite) {
        return fail(ErrorCode::kFailedPrecondition, "scorer training: the loss is not finite in ",
                    "step ", step, " of epoch ", epoch);
      }
      total += result.loss;
    }
    if (report) report(epoch, total / static_cast<double>(steps));
  }
  return with_parameters(scorer, trainer.get_parameters());
}

}  // namespace inkling
