#include "rerank/learn/shadow.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rerank/metrics.h"
#include "rerank/planned_scorer.h"

namespace inkling {

Result<std::vector<LoggedRequest>> read_requests(BehaviorLog& log,
                                                 std::span<const std::uint64_t> schemas,
                                                 std::size_t base_width,
                                                 std::span<const EventKind> choices) {
  std::vector<LoggedRequest> requests;
  std::unordered_map<RequestId, std::size_t> place;
  const auto is_in = [](const auto& all, const auto& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  INK_CHECK_OK(log.scan({}, [&](const Event& event) {
    if (event.kind == EventKind::kImpression) {
      if (!is_in(schemas, event.schema) || event.features.size() < base_width) return;
      const auto [at, is_new] = place.try_emplace(event.request, requests.size());
      if (is_new) requests.push_back({.request = event.request});
      LoggedRequest& shown = requests[at->second];
      shown.items.push_back(event.item);
      shown.rows.insert(shown.rows.end(), event.features.begin(),
                        event.features.begin() + static_cast<std::ptrdiff_t>(base_width));
    } else if (const auto at = place.find(event.request);
               at != place.end() && is_in(choices, event.kind)) {
      LoggedRequest& shown = requests[at->second];
      const auto item = std::find(shown.items.begin(), shown.items.end(), event.item);
      const auto index = static_cast<std::size_t>(item - shown.items.begin());
      if (item != shown.items.end() && !is_in(shown.chosen, index)) shown.chosen.push_back(index);
    }
  }));
  return requests;
}

Result<std::vector<double>> shadow_nll(const HistoryLayout& layout, const Model& model,
                                       std::span<const LoggedRequest> requests,
                                       std::size_t latest) {
  INK_TRY(PlannedScorer scorer, PlannedScorer::create(model, layout.schema()));
  const auto tells = [](const LoggedRequest& r) {
    return !r.chosen.empty() && r.chosen.size() < r.items.size();
  };
  auto to_skip = static_cast<std::size_t>(std::count_if(requests.begin(), requests.end(), tells));
  to_skip -= std::min(to_skip, latest);
  History history(layout);
  std::vector<ScoredSlate> slates;
  for (const LoggedRequest& r : requests) {
    if (tells(r) && to_skip > 0) {
      --to_skip;
    } else if (tells(r)) {
      INK_TRY(PlannedScorer::Planned * planned, scorer.slate(r.items.size()));
      INK_CHECK_OK(history.complete(r.items, r.rows, planned->features.span<float>()));
      if (scorer.past_rows() > 0) {
        INK_CHECK_OK(fill_past(history.recent_rows(), planned->past, planned->present));
      }
      planned->run();
      const auto scores = planned->scores.span<float>();
      ScoredSlate& slate = slates.emplace_back();
      slate.scores.assign(scores.begin(), scores.end());
      slate.relevant.assign(scores.size(), 0);
      for (const std::size_t i : r.chosen) slate.relevant[i] = 1;
    }
    INK_CHECK_OK(history.observe(r.items, r.rows, r.chosen));
  }
  INK_TRY(const auto values, evaluate(Metric::kNll, slates));
  std::vector<double> nll;
  for (const SlateValue& v : values) nll.push_back(v.value);
  return nll;
}

Result<ShadowScore> shadow_score(std::span<const double> before, std::span<const double> now,
                                 const ShadowSpec& spec) {
  if (before.size() != now.size()) {
    return fail(ErrorCode::kInvalidArgument, "shadow score: ", now.size(), " values, expected ",
                before.size());
  }
  if (now.size() < std::max<std::size_t>(spec.requests_min, 2)) return ShadowScore{};
  const auto n = static_cast<double>(now.size());
  std::vector<double> losses;
  for (std::size_t i = 0; i < now.size(); ++i) losses.push_back(now[i] - before[i]);
  const double sum = std::accumulate(losses.begin(), losses.end(), 0.0);
  double squares = 0;
  for (const double loss : losses) squares += (loss - sum / n) * (loss - sum / n);
  const double error = std::sqrt(squares / (n - 1) * n);  // of the sum
  ShadowScore score{.requests = now.size(), .gain = -sum / n};
  score.worse = sum > spec.margin && sum > spec.confidence * error;
  const auto finite = [](double v) { return std::isfinite(v); };
  if (!std::all_of(now.begin(), now.end(), finite))
    score.worse = std::all_of(before.begin(), before.end(), finite);
  return score;
}

}  // namespace inkling
