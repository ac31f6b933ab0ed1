#include "rerank/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "rerank/ranking.h"

namespace inkling {

namespace {

double discount(std::size_t rank) { return 1 / std::log2(static_cast<double>(rank) + 2); }

double ndcg(const ScoredSlate& slate, std::size_t k) {
  const std::vector<std::uint32_t> order = rank_by_score(slate.scores);
  std::size_t relevant = 0;
  double gain = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    if (slate.relevant[order[rank]] == 0) continue;
    if (rank < k) gain += discount(rank);
    ++relevant;
  }
  double best = 0;
  for (std::size_t rank = 0; rank < std::min(relevant, k); ++rank) best += discount(rank);
  return gain / best;
}

// The rank of the first relevant place, from 0.
std::size_t first_relevant(const ScoredSlate& slate) {
  const std::vector<std::uint32_t> order = rank_by_score(slate.scores);
  const auto found = std::find_if(order.begin(), order.end(),
                                  [&](std::uint32_t i) { return slate.relevant[i] != 0; });
  return static_cast<std::size_t>(found - order.begin());
}

double nll(const ScoredSlate& slate) {
  double highest = -std::numeric_limits<double>::infinity();
  for (const float s : slate.scores) {
    if (!std::isfinite(s)) return std::numeric_limits<double>::infinity();
    highest = std::max(highest, static_cast<double>(s));
  }
  double total = 0, relevant = 0, score = 0;
  for (std::size_t i = 0; i < slate.scores.size(); ++i) {
    total += std::exp(slate.scores[i] - highest);
    if (slate.relevant[i] == 0) continue;
    relevant += 1;
    score += slate.scores[i];
  }
  return highest + std::log(total) - score / relevant;
}

// By ranks rather than pairs, so that a page of a thousand costs no million comparisons.
double auc(const ScoredSlate& slate) {
  const std::vector<std::uint32_t> order = rank_by_score(slate.scores);
  const auto same = [&](std::size_t a, std::size_t b) {
    const float x = slate.scores[order[a]], y = slate.scores[order[b]];
    return x == y || (std::isnan(x) && std::isnan(y));
  };
  double above = 0, right = 0, others = 0, relevant = 0;
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    double tied_relevant = 0;
    for (end = begin; end < order.size() && same(begin, end); ++end)
      tied_relevant += slate.relevant[order[end]] != 0 ? 1 : 0;
    const double tied_others = static_cast<double>(end - begin) - tied_relevant;
    right += tied_others * (above + tied_relevant / 2);
    above += tied_relevant;
    relevant += tied_relevant;
    others += tied_others;
  }
  return right / (relevant * others);
}

double value_of(Metric metric, const ScoredSlate& slate, std::size_t k) {
  switch (metric) {
    case Metric::kTop1:
      return first_relevant(slate) == 0 ? 1 : 0;
    case Metric::kNdcg:
      return ndcg(slate, k);
    case Metric::kMrr:
      return 1 / (static_cast<double>(first_relevant(slate)) + 1);
    case Metric::kNll:
      return nll(slate);
    case Metric::kAuc:
      break;
  }
  return auc(slate);
}

struct Sums {
  double a = 0, b = 0, weight = 0;
};

double difference(const Sums& sums) { return (sums.a - sums.b) / sums.weight; }

// Draws as many users as there are, with replacement, `resamples` times.
Interval resample(const std::map<UserId, Sums>& by_user, Rng& rng, int resamples) {
  std::vector<Sums> users;
  Sums all;
  for (const auto& [user, sums] : by_user) {
    users.push_back(sums);
    all = {all.a + sums.a, all.b + sums.b, all.weight + sums.weight};
  }
  std::vector<double> means(static_cast<std::size_t>(resamples));
  for (double& mean : means) {
    Sums drawn;
    for (std::size_t i = 0; i < users.size(); ++i) {
      const Sums& user = users[static_cast<std::size_t>(rng.below(users.size()))];
      drawn = {drawn.a + user.a, drawn.b + user.b, drawn.weight + user.weight};
    }
    mean = difference(drawn);
  }
  std::sort(means.begin(), means.end());
  const auto quantile = [&](double q) {
    return means[static_cast<std::size_t>(q * static_cast<double>(means.size() - 1) + 0.5)];
  };
  return {.mean = difference(all),
          .low = quantile(0.025),
          .high = quantile(0.975),
          .users = users.size()};
}

}  // namespace

Result<std::vector<SlateValue>> evaluate(Metric metric, std::span<const ScoredSlate> slates,
                                         const MetricOptions& options) {
  if (options.k == 0) return fail(ErrorCode::kInvalidArgument, "evaluate: k is 0, expected more");
  std::vector<SlateValue> values;
  values.reserve(slates.size());
  for (std::size_t i = 0; i < slates.size(); ++i) {
    const ScoredSlate& slate = slates[i];
    const std::size_t items = slate.scores.size();
    if (items == 0 || slate.relevant.size() != items) {
      return fail(ErrorCode::kInvalidArgument, "evaluate: slate ", i, ": ", items, " scores and ",
                  slate.relevant.size(), " labels, expected as many, and some");
    }
    const auto others = static_cast<std::size_t>(
        std::count(slate.relevant.begin(), slate.relevant.end(), std::uint8_t{0}));
    const bool meaningful = others < items && (metric != Metric::kAuc || others > 0);
    const double weight = options.weighting == Weighting::kPerItem ? static_cast<double>(items) : 1;
    values.push_back({.user = slate.user,
                      .value = meaningful ? value_of(metric, slate, options.k) : 0,
                      .weight = meaningful ? weight : 0});
  }
  return values;
}

Result<Interval> bootstrap_mean(std::span<const SlateValue> values, Rng& rng, int resamples) {
  std::vector<SlateValue> zero(values.begin(), values.end());
  for (SlateValue& v : zero) v.value = 0;
  return bootstrap_difference(values, zero, rng, resamples);
}

Result<Interval> bootstrap_difference(std::span<const SlateValue> a, std::span<const SlateValue> b,
                                      Rng& rng, int resamples) {
  if (a.size() != b.size() || resamples < 1) {
    return fail(ErrorCode::kInvalidArgument, "bootstrap: ", a.size(), " and ", b.size(),
                " values, ", resamples, " resamples: expected as many, and at least 1");
  }
  std::map<UserId, Sums> by_user;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].user != b[i].user || a[i].weight != b[i].weight)
      return fail(ErrorCode::kInvalidArgument, "bootstrap: value ", i, " is not of one slate");
    if (!std::isfinite(a[i].value) || !std::isfinite(b[i].value))
      return fail(ErrorCode::kInvalidArgument, "bootstrap: value ", i, " is not finite");
    if (a[i].weight <= 0) continue;
    Sums& sums = by_user[a[i].user];
    sums.a += a[i].weight * a[i].value;
    sums.b += a[i].weight * b[i].value;
    sums.weight += a[i].weight;
  }
  if (by_user.empty())
    return fail(ErrorCode::kInvalidArgument, "bootstrap: no slate in which the metric has meaning");
  return resample(by_user, rng, resamples);
}

}  // namespace inkling
