#include "rerank/learn/scorer_trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "autograd/losses.h"
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

}  // namespace

Result<ScorerTrainer> ScorerTrainer::create(const Model& scorer, std::size_t alternatives,
                                            std::size_t batch, const Optimizer& optimizer,
                                            const PlanOptions& plan) {
  if (batch == 0 || alternatives == 0) {
    return fail(ErrorCode::kInvalidArgument, "scorer training: batches of ", batch, " slates of ",
                alternatives, " items, expected at least one of each");
  }
  INK_TRY(const std::size_t sequence, past_rows(scorer.graph));
  Graph g;
  const ValueId loss = append_batch_loss(g, scorer.graph, batch, alternatives);
  const std::vector<ValueId> weights(g.variables().begin(), g.variables().end());
  INK_TRY(Trainer trainer,
          Trainer::create(std::move(g),
                          {.loss = loss, .train = weights, .optimizer = optimizer, .plan = plan}));
  ScorerTrainer steps(std::move(trainer));
  for (std::size_t i = 0; i < batch; ++i) {
    Slot& slot = steps.slots_.emplace_back();
    INK_TRY(slot.slate.features, steps.trainer_.input(place(kFeaturesInput, i)));
    INK_TRY(slot.slate.targets, steps.trainer_.input(place(kTargets, i)));
    INK_TRY(slot.slate.mask, steps.trainer_.input(place(kMask, i)));
    if (sequence == 0) continue;
    INK_TRY(slot.past, steps.trainer_.input(place(kPastInput, i)));
    INK_TRY(slot.present, steps.trainer_.input(place(kPresentInput, i)));
  }
  return steps;
}

Result<void> ScorerTrainer::fill(const Example& example, const Slot& slot) {
  INK_CHECK_OK(fill_batch(std::span(&example.slate, 1), slot.slate));
  if (!slot.past) return {};
  return fill_past(example.past, *slot.past, *slot.present);
}

Result<double> ScorerTrainer::step(std::span<const Example* const> examples, double rate) {
  if (examples.size() > slots_.size()) {
    return fail(ErrorCode::kResourceLimit, "scorer training: ", examples.size(),
                " slates, room for ", slots_.size());
  }
  for (std::size_t i = 0; i < examples.size(); ++i) INK_CHECK_OK(fill(*examples[i], slots_[i]));
  for (std::size_t i = examples.size(); i < slots_.size(); ++i)
    INK_CHECK_OK(fill_batch({}, slots_[i].slate));  // no targets: no loss, no gradient
  const StepReport report = trainer_.step(rate);
  if (!report.finite)
    return fail(ErrorCode::kFailedPrecondition, "scorer training: the loss is not finite");
  return report.loss;
}

Result<Model> train_scorer(const Model& scorer, std::span<const Example> examples,
                           const ScorerTrainingSpec& spec,
                           const std::function<void(int, double)>& report) {
  std::vector<const Example*> teaching;
  std::size_t alternatives = 0;
  for (const Example& e : examples) {
    if (!tells_an_order(e.slate)) continue;
    teaching.push_back(&e);
    alternatives = std::max(alternatives, e.slate.alternatives);
  }
  if (spec.batch == 0 || spec.epochs < 1 || teaching.size() < spec.batch) {
    return fail(ErrorCode::kInvalidArgument, "scorer training: ", teaching.size(),
                " slates to learn from in batches of ", spec.batch, ", ", spec.epochs,
                " epochs: expected at least one batch and epoch");
  }
  INK_TRY(ScorerTrainer trainer,
          ScorerTrainer::create(scorer, alternatives, spec.batch,
                                Adam{.weight_decay = spec.weight_decay}, spec.plan));
  const std::size_t steps = teaching.size() / spec.batch;
  const double all = static_cast<double>(steps) * spec.epochs;
  double done = 0;
  for (int epoch = 0; epoch < spec.epochs; ++epoch) {
    Rng rng(spec.seed, "scorer training", static_cast<std::uint64_t>(epoch));
    rng.shuffle(teaching);
    double total = 0;
    for (std::size_t step = 0; step < steps; ++step, ++done) {
      const double rate = spec.rate * 0.5 * (1 + std::cos(done / all * std::numbers::pi));
      const auto batch = std::span(teaching).subspan(step * spec.batch, spec.batch);
      INK_TRY(const double loss, trainer.step(batch, rate));
      total += loss;
    }
    if (report) report(epoch, total / static_cast<double>(steps));
  }
  return with_parameters(scorer, trainer.get_parameters());
}

}  // namespace inkling
