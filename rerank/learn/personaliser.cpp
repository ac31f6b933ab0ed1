#include "rerank/learn/personaliser.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "autograd/losses.h"
#include "runtime/ops.h"

namespace inkling {

namespace {

constexpr const char* kTargets = "targets";
constexpr const char* kMask = "mask";
constexpr const char* kPull = "pull";

// sum NLL + pull * sum over variables |w - global|^2. The global weights are constants: they are
// what the model came with.
ValueId append_objective(Graph& g, std::span<const ValueId> weights, std::int64_t slates,
                         std::int64_t alternatives) {
  const Shape shape{slates, alternatives};
  const ValueId targets = g.input(kTargets, {DType::kF32, shape});
  const ValueId mask = g.input(kMask, {DType::kF32, shape});
  const ValueId pull = g.input(kPull, {DType::kF32, Shape{}});
  const ValueId scores = reshape(g, g.find_output(kScoresOutput), shape);
  ValueId loss = scale(g, softmax_cross_entropy(g, add(g, scores, mask), targets),
                       static_cast<double>(slates));
  for (const ValueId w : weights) {
    const ValueId global = g.constant(g.value(w).tensor);
    loss = add(g, loss, mul(g, pull, squared_distance(g, w, global)));
  }
  return loss;
}

}  // namespace

Result<Personaliser> Personaliser::create(const Model& global, const PersonaliserSpec& spec) {
  if (spec.slates_max == 0 || spec.alternatives_max == 0 || spec.steps < 1) {
    return fail(ErrorCode::kInvalidArgument, "personaliser: ", spec.slates_max, " slates of ",
                spec.alternatives_max, " alternatives, ", spec.steps,
                " steps: expected at least 1 of each");
  }
  INK_TRY(Graph g, with_rows(global.graph, spec.slates_max * spec.alternatives_max));
  const std::vector<ValueId> weights(g.variables().begin(), g.variables().end());
  const ValueId loss = append_objective(g, weights, static_cast<std::int64_t>(spec.slates_max),
                                        static_cast<std::int64_t>(spec.alternatives_max));
  INK_TRY(Trainer trainer,
          Trainer::create(
              std::move(g),
              {.loss = loss, .train = weights, .optimizer = spec.optimizer, .plan = spec.plan}));
  Personaliser personaliser(std::move(trainer), spec);
  INK_TRY(personaliser.base_, model_identity(global));
  INK_TRY(personaliser.global_, model_parameters(global.graph));
  INK_TRY(personaliser.batch_.features, personaliser.trainer_.input(kFeaturesInput));
  INK_TRY(personaliser.batch_.targets, personaliser.trainer_.input(kTargets));
  INK_TRY(personaliser.batch_.mask, personaliser.trainer_.input(kMask));
  INK_TRY(personaliser.pull_, personaliser.trainer_.input(kPull));
  return personaliser;
}

Result<void> Personaliser::load(std::span<const EncodedSlate> slates, double pull) {
  if (!(pull >= 0) || !std::isfinite(pull))
    return fail(ErrorCode::kInvalidArgument, "personaliser: pull ", pull, ", expected >= 0");
  INK_CHECK_OK(fill_batch(slates.last(std::min(slates.size(), spec_.slates_max)), batch_));
  *pull_.as<float>() = static_cast<float>(pull);
  return {};
}

Result<std::optional<Patch>> Personaliser::personalise(std::span<const EncodedSlate> slates,
                                                       double pull) {
  INK_CHECK_OK(load(slates, pull));
  if (slates.empty()) return std::nullopt;
  INK_CHECK_OK(trainer_.set_parameters(global_));
  for (int step = 0; step < spec_.steps; ++step) {
    const double progress = static_cast<double>(step) / spec_.steps;
    const double rate = spec_.rate * 0.5 * (1 + std::cos(progress * std::numbers::pi));
    if (!trainer_.step(rate).finite) {
      return fail(ErrorCode::kFailedPrecondition, "personaliser: the loss is not finite at step ",
                  step);
    }
  }
  Patch patch{.base = base_, .delta = trainer_.get_parameters()};
  for (std::size_t i = 0; i < global_.size(); ++i) {
    patch.delta[i] -= global_[i];
    if (!std::isfinite(patch.delta[i]))
      return fail(ErrorCode::kFailedPrecondition, "personaliser: weight ", i, " is not finite");
  }
  return patch;
}

Result<double> Personaliser::nll_sum(std::span<const EncodedSlate> slates, const Patch* patch) {
  INK_CHECK_OK(load(slates, 0));
  std::vector<float> weights = global_;
  if (patch != nullptr) {
    INK_CHECK_OK(check_patch(*patch, base_, global_.size()));
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] += patch->delta[i];
  }
  INK_CHECK_OK(trainer_.set_parameters(weights));
  return trainer_.step(0).loss;
}

Result<std::vector<double>> Personaliser::held_back_nll(std::span<const EncodedSlate> slates,
                                                        std::size_t held_back,
                                                        std::span<const double> pulls) {
  if (held_back == 0 || held_back >= slates.size()) {
    return fail(ErrorCode::kInvalidArgument, "personaliser: ", held_back, " of ", slates.size(),
                " slates held back, expected some and not all");
  }
  std::vector<double> losses;
  for (const double pull : pulls) {
    INK_TRY(const auto patch, personalise(slates.first(slates.size() - held_back), pull));
    INK_TRY(losses.emplace_back(), nll_sum(slates.last(held_back), &*patch));
  }
  return losses;
}

}  // namespace inkling
