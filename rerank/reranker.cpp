#include "rerank/reranker.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rerank/ranking.h"

namespace inkling {

namespace {

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
  INK_TRY(PlannedScorer scorer, PlannedScorer::create(std::move(model), schema_));
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
    if (late(context)) return false;
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
  if (late(context)) return server_order(count, RankedBy::kServerDeadline);
  INK_TRY(PlannedScorer::Planned * planned, scorer_->slate(count));
  INK_TRY(const bool in_time, encode(candidates, context, *planned));
  if (!in_time) return server_order(count, RankedBy::kServerDeadline);
  planned->run();
  if (late(context)) return server_order(count, RankedBy::kServerDeadline);
  const auto scores = planned->scores.span<float>();
  return Ranking{.by = scorer_->patched() ? RankedBy::kPersonalModel : RankedBy::kGlobalModel,
                 .order = rank_by_score(scores),
                 .scores = {scores.begin(), scores.end()},
                 .probabilities = softmax_of(scores)};
}

}  // namespace inkling
