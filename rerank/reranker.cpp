#include "rerank/reranker.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace inkling {

namespace {

constexpr std::size_t kCandidatesAClockCall = 16;  // about ten microseconds apart

Ranking server_order(std::size_t count, RankedBy why) {
  Ranking ranking{.by = why, .order = std::vector<std::uint32_t>(count)};
  std::iota(ranking.order.begin(), ranking.order.end(), 0u);
  return ranking;
}

std::vector<float> softmax_of(std::span<const float> scores) {
  float highest = -std::numeric_limits<float>::infinity();
  for (const float s : scores)
    if (std::isfinite(s)) highest = std::max(highest, s);
  double total = 0;
  std::vector<float> probabilities(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    probabilities[i] = std::isfinite(scores[i]) ? std::exp(scores[i] - highest) : 0.0f;
    total += probabilities[i];
  }
  if (total > 0)
    for (float& p : probabilities) p = static_cast<float>(p / total);
  return probabilities;
}

}  // namespace

Result<void> Reranker::set_model(Model model) {
  INK_TRY(PlannedScorer scorer, PlannedScorer::create(std::move(model), schema_, plan_));
  scorer_.emplace(std::move(scorer));
  return {};
}

Result<void> Reranker::set_patch(const Patch& patch) {
  if (!scorer_)
    return fail(ErrorCode::kFailedPrecondition, "reranker: a patch without a model to put it on");
  return scorer_->set_patch(patch);
}

Result<void> Reranker::clear_patch() {
  if (!scorer_) return fail(ErrorCode::kFailedPrecondition, "reranker: no model, so no patch");
  scorer_->clear_patch();
  return {};
}

Result<void> Reranker::set_policy(Policy policy) {
  INK_CHECK_OK(check_policy(policy));
  INK_TRY(const std::uint32_t arm, arm_of(policy));
  held_out_ = policy.experiment && arm == kHoldOut;
  rng_ = Rng(policy.seed, "exploration");
  policy_ = std::move(policy);
  return {};
}

Result<bool> Reranker::encode(std::span<const Candidate> candidates, const Context& context,
                              const PlannedScorer::Planned& planned) const {
  const History* history = context.history;
  if (history != nullptr && history->layout().schema().fingerprint() != schema_.fingerprint())
    return fail(ErrorCode::kVerification, "rerank: the history belongs to another feature schema");
  const auto features = planned.features.span<float>();
  const std::size_t width = schema_.width();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto row = features.subspan(i * width, width);
    if (history != nullptr) {
      INK_CHECK_OK(history->encode(candidates.subspan(i, 1), row));
    } else {
      INK_CHECK_OK(schema_.encode(candidates[i], row));
    }
    if (i % kCandidatesAClockCall == 0 && late(context)) return false;
  }
  if (scorer_->past_rows() > 0) {
    const auto past = history == nullptr ? std::span<const float>() : history->recent_rows();
    INK_CHECK_OK(fill_past(past, planned.past, planned.present));
  }
  return true;
}

Result<Ranking> Reranker::rerank(std::span<const Candidate> candidates, const Context& context) {
  const std::size_t count = candidates.size();
  if (count > kCandidatesMax) {
    return fail(ErrorCode::kResourceLimit, "rerank: ", count, " candidates, limit ",
                kCandidatesMax);
  }
  if (!scorer_ || count == 0) return server_order(count, RankedBy::kServerNoModel);
  if (held_out_) return server_order(count, RankedBy::kServerHoldOut);
  if (late(context)) return server_order(count, RankedBy::kServerDeadline);
  INK_TRY(PlannedScorer::Planned * planned, scorer_->slate(count));
  INK_TRY(const bool in_time, encode(candidates, context, *planned));
  if (!in_time) return server_order(count, RankedBy::kServerDeadline);
  planned->run();
  if (late(context)) return server_order(count, RankedBy::kServerDeadline);
  const auto scores = planned->scores.span<float>();
  INK_TRY(ArrangedOrder arranged,
          arrange(policy_, candidates, scores, rng_, [&] { return late(context); }));
  return Ranking{.by = scorer_->patched() ? RankedBy::kPersonalModel : RankedBy::kGlobalModel,
                 .order = std::move(arranged.order),
                 .scores = {scores.begin(), scores.end()},
                 .probabilities = softmax_of(scores),
                 .propensities = std::move(arranged.propensities)};
}

Result<std::vector<Reason>> Reranker::why(std::span<const Candidate> candidates,
                                          const Context& context, std::size_t index,
                                          std::size_t count_max) {
  if (!scorer_) return fail(ErrorCode::kFailedPrecondition, "why: no model");
  if (candidates.empty() || candidates.size() > kCandidatesMax) {
    return fail(ErrorCode::kInvalidArgument, "why: ", candidates.size(),
                " candidates, expected 1 to ", kCandidatesMax);
  }
  INK_TRY(PlannedScorer::Planned * planned, scorer_->slate(candidates.size()));
  const Context patient{.history = context.history};
  INK_TRY([[maybe_unused]] const bool in_time, encode(candidates, patient, *planned));
  return explain(*planned, schema_, index, count_max);
}

}  // namespace inkling
