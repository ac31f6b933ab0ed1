#include "rerank/learn/patch_choice.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rerank/conditional_logit.h"

namespace inkling {

namespace {

// Mean of -log P over the chosen ones.
double slate_nll(const EncodedSlate& slate, std::span<const double> weights) {
  std::vector<double> utilities(slate.alternatives, 0.0);
  for (std::size_t i = 0; i < slate.alternatives; ++i)
    for (std::size_t j = 0; j < weights.size(); ++j)
      utilities[i] += static_cast<double>(slate.features[i * weights.size() + j]) * weights[j];
  const double highest = *std::max_element(utilities.begin(), utilities.end());
  double total = 0, chosen = 0;
  for (const double u : utilities) total += std::exp(u - highest);
  for (const std::size_t i : slate.chosen) chosen += utilities[i];
  return highest + std::log(total) - chosen / static_cast<double>(slate.chosen.size());
}

Result<std::vector<double>> fit_weights(std::span<const EncodedSlate> slates,
                                        std::span<const double> head, double pull) {
  INK_TRY(ConditionalLogitFit fit,
          fit_conditional_logit(
              slates, head.size(),
              {.ridge = pull, .towards = {head.begin(), head.end()}, .gradient_norm_max = 1e-6}));
  return std::move(fit.weights);
}

// gains[p][i]: what pull p gains over the global head on the i-th held-back slate.
struct HeldBack {
  std::vector<std::vector<double>> gains;
  double global_nll = 0;
};

Result<HeldBack> predict_latest(std::span<const EncodedSlate> slates, std::span<const double> head,
                                std::size_t count, const PatchChoiceSpec& spec) {
  HeldBack held{.gains = std::vector<std::vector<double>>(spec.pulls.size())};
  for (std::size_t at = slates.size() - count; at < slates.size(); ++at) {
    const double global = slate_nll(slates[at], head);
    held.global_nll += global / static_cast<double>(count);
    for (std::size_t p = 0; p < spec.pulls.size(); ++p) {
      INK_TRY(const auto weights, fit_weights(slates.first(at), head, spec.pulls[p]));
      held.gains[p].push_back(global - slate_nll(slates[at], weights));
    }
  }
  return held;
}

double sum(std::span<const double> v) { return std::accumulate(v.begin(), v.end(), 0.0); }

bool worth_keeping(std::span<const double> gains, const PatchChoiceSpec& spec) {
  const auto n = static_cast<double>(gains.size());
  const double mean = sum(gains) / n;
  double squares = 0;
  for (const double g : gains) squares += (g - mean) * (g - mean);
  const double error = std::sqrt(squares / std::max(n - 1, 1.0) * n);  // of the sum
  return mean * n > spec.margin && mean * n > spec.confidence * error;
}

}  // namespace

Result<std::vector<float>> fit_head_delta(std::span<const EncodedSlate> slates,
                                          std::span<const float> head, double pull) {
  const std::vector<double> global(head.begin(), head.end());
  INK_TRY(const auto weights, fit_weights(slates, global, pull));
  std::vector<float> delta(head.size());
  for (std::size_t i = 0; i < delta.size(); ++i)
    delta[i] = static_cast<float>(weights[i] - global[i]);
  return delta;
}

Result<PatchChoice> choose_patch(std::span<const EncodedSlate> slates, std::span<const float> head,
                                 const PatchChoiceSpec& spec) {
  if (spec.pulls.empty() ||
      !std::all_of(spec.pulls.begin(), spec.pulls.end(), [](double p) { return p > 0; }))
    return fail(ErrorCode::kInvalidArgument, "patch: expected pulls above 0, and some");
  INK_CHECK_OK(check_slates(slates, head.size()));
  PatchChoice choice;
  if (slates.size() < std::max<std::size_t>(spec.slates_min, 2)) return choice;
  choice.held_back = std::min(spec.held_back_max, slates.size() / 2);
  const std::vector<double> global(head.begin(), head.end());
  INK_TRY(const HeldBack held, predict_latest(slates, global, choice.held_back, spec));
  choice.global_nll = held.global_nll;
  const auto n = static_cast<double>(choice.held_back);
  std::size_t best = 0;
  for (std::size_t p = 0; p < spec.pulls.size(); ++p) {
    choice.held_back_nll.push_back(held.global_nll - sum(held.gains[p]) / n);
    if (choice.held_back_nll[p] < choice.held_back_nll[best]) best = p;
  }
  choice.pull = spec.pulls[best];
  choice.gain = sum(held.gains[best]) / n;
  if (!worth_keeping(held.gains[best], spec)) return choice;
  INK_TRY(choice.delta, fit_head_delta(slates, head, choice.pull));
  return choice;
}

}  // namespace inkling
