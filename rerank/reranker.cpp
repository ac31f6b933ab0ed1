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
  INK_CHECK_OK(check_scorer(model, schema_));
  INK_TRY(const Sha256Digest identity, model_identity(model));
  INK_TRY(std::vector<float> parameters, model_parameters(model.graph));
  planned_.clear();
  loaded_.emplace(Loaded{.model = std::move(model),
                         .identity = identity,
                         .global = parameters,
                         .current = std::move(parameters)});
  return {};
}

Result<void> Reranker::set_patch(const Patch& patch) {
  if (!loaded_)
    return fail(ErrorCode::kFailedPrecondition, "reranker: a patch without a model to put it on");
  INK_CHECK_OK(check_patch(patch, loaded_->identity, loaded_->global.size()));
  std::vector<float> values = loaded_->global;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += patch.delta[i];
  use_parameters(std::move(values), true);
  return {};
}

Result<void> Reranker::clear_patch() {
  if (!loaded_) return fail(ErrorCode::kFailedPrecondition, "reranker: no model, so no patch");
  use_parameters(loaded_->global, false);
  return {};
}

void Reranker::use_parameters(std::vector<float> values, bool patched) {
  loaded_->current = std::move(values);
  loaded_->patched = patched;
  for (Planned& planned : planned_) write_parameters(planned);
}

void Reranker::write_parameters(Planned& planned) const {
  auto from = loaded_->current.begin();
  for (const TensorView& variable : planned.variables) {
    const auto to = variable.span<float>();
    std::copy_n(from, to.size(), to.begin());
    from += static_cast<std::ptrdiff_t>(to.size());
  }
}

Result<Reranker::Planned*> Reranker::plan(std::size_t rows) {
  const auto known = std::find_if(planned_.begin(), planned_.end(),
                                  [&](const Planned& p) { return p.rows == rows; });
  if (known != planned_.end()) {
    std::rotate(planned_.begin(), known, known + 1);
    return &planned_.front();
  }
  INK_TRY(const Graph graph, with_rows(loaded_->model.graph, rows));
  INK_TRY(Session session, Session::create(graph));
  Planned planned{
      .rows = rows, .session = std::move(session), .features = {}, .scores = {}, .variables = {}};
  INK_TRY(planned.features, planned.session.input(kFeaturesInput));
  INK_TRY(planned.scores, planned.session.output(kScoresOutput));
  for (const ValueId id : graph.variables()) {
    INK_TRY(planned.variables.emplace_back(), planned.session.variable(graph.value(id).name));
  }
  write_parameters(planned);
  if (planned_.size() == kPlannedSizesMax) planned_.pop_back();
  planned_.insert(planned_.begin(), std::move(planned));
  return &planned_.front();
}

Result<Ranking> Reranker::rerank(std::span<const Candidate> candidates, const Context& context) {
  const std::size_t count = candidates.size();
  if (count > kCandidatesMax) {
    return fail(ErrorCode::kResourceLimit, "rerank: ", count, " candidates, limit ",
                kCandidatesMax);
  }
  if (!loaded_ || count == 0) return server_order(count, RankedBy::kServerNoModel);
  if (late(context)) return server_order(count, RankedBy::kServerDeadline);
  INK_TRY(Planned * planned, plan(count));
  const auto features = planned->features.span<float>();
  const std::size_t width = schema_.width();
  for (std::size_t i = 0; i < count; ++i) {
    INK_CHECK_OK(schema_.encode(candidates[i], features.subspan(i * width, width)));
    if (late(context)) return server_order(count, RankedBy::kServerDeadline);
  }
  planned->session.run();
  if (late(context)) return server_order(count, RankedBy::kServerDeadline);
  const auto scores = planned->scores.span<float>();
  return Ranking{.by = loaded_->patched ? RankedBy::kPersonalModel : RankedBy::kGlobalModel,
                 .order = rank_by_score(scores),
                 .scores = {scores.begin(), scores.end()},
                 .probabilities = softmax_of(scores)};
}

}  // namespace inkling
