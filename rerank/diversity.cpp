#include "rerank/diversity.h"

#include <algorithm>
#include <cmath>

#include "rerank/ranking.h"

namespace inkling {

namespace {

constexpr double kVolumeMin = 1e-10;  // squared; below it an item adds nothing

// Of the scores' items; the scores must be finite too.
Result<std::vector<double>> units_of(std::span<const float> scores, const ItemVectors& vectors) {
  if (!std::all_of(scores.begin(), scores.end(), [](float v) { return std::isfinite(v); }))
    return fail(ErrorCode::kInvalidArgument, "diversity: a score that is not finite");
  return unit_vectors(scores.size(), vectors);
}

double dot(std::span<const double> units, std::size_t width, std::size_t a, std::size_t b) {
  double total = 0;
  for (std::size_t k = 0; k < width; ++k) total += units[a * width + k] * units[b * width + k];
  return total;
}

// The first index with the largest value among those not taken; `none` when all are taken.
std::size_t best_of(std::span<const double> values, const std::vector<bool>& taken) {
  std::size_t best = values.size();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!taken[i] && (best == values.size() || values[i] > values[best])) best = i;
  return best;
}

}  // namespace

Result<std::vector<double>> unit_vectors(std::size_t items, const ItemVectors& vectors) {
  const std::size_t width = vectors.width;
  if (width == 0 || vectors.values.size() != items * width) {
    return fail(ErrorCode::kInvalidArgument, "diversity: ", vectors.values.size(), " numbers for ",
                items, " items, expected ", width, " each, and some");
  }
  if (!std::all_of(vectors.values.begin(), vectors.values.end(),
                   [](float v) { return std::isfinite(v); }))
    return fail(ErrorCode::kInvalidArgument, "diversity: a number that is not finite");
  std::vector<double> units(vectors.values.begin(), vectors.values.end());
  for (std::size_t i = 0; i < items; ++i) {
    const auto row = std::span(units).subspan(i * width, width);
    double squares = 0;
    for (const double v : row) squares += v * v;
    if (squares > 0)
      for (double& v : row) v /= std::sqrt(squares);
  }
  return units;
}

Result<std::vector<std::uint32_t>> rank_by_mmr(std::span<const float> scores,
                                               const ItemVectors& vectors, double trade,
                                               std::size_t places) {
  if (!(trade >= 0 && trade <= 1))
    return fail(ErrorCode::kInvalidArgument, "mmr: trade ", trade, ", expected 0 to 1");
  INK_TRY(const std::vector<double> units, units_of(scores, vectors));
  std::vector<double> value(scores.size()), likeness(scores.size(), 0.0);
  std::vector<bool> taken(scores.size(), false);
  std::vector<std::uint32_t> order;
  while (order.size() < std::min(places, scores.size())) {
    for (std::size_t i = 0; i < scores.size(); ++i)
      value[i] = trade * static_cast<double>(scores[i]) - (1 - trade) * likeness[i];
    const std::size_t next = best_of(value, taken);
    taken[next] = true;
    order.push_back(static_cast<std::uint32_t>(next));
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double alike = dot(units, vectors.width, i, next);
      likeness[i] = order.size() == 1 ? alike : std::max(likeness[i], alike);
    }
  }
  append_by_score(scores, order);
  return order;
}

Result<std::vector<std::uint32_t>> rank_by_dpp(std::span<const float> scores,
                                               const ItemVectors& vectors, double strength,
                                               std::size_t places) {
  if (!(strength > 0) || !std::isfinite(strength))
    return fail(ErrorCode::kInvalidArgument, "dpp: strength ", strength, ", expected above 0");
  INK_TRY(const std::vector<double> units, units_of(scores, vectors));
  const std::size_t n = scores.size();
  if (n == 0) return std::vector<std::uint32_t>();
  const double highest = static_cast<double>(*std::max_element(scores.begin(), scores.end()));
  // The largest quality is 1: a common factor changes no comparison of volumes.
  std::vector<double> quality(n), volume(n);
  for (std::size_t i = 0; i < n; ++i) {
    quality[i] = std::exp(strength * (static_cast<double>(scores[i]) - highest) / 2);
    volume[i] = quality[i] * quality[i] * dot(units, vectors.width, i, i);
  }
  std::vector<std::vector<double>> rows(n);  // of the Cholesky factor, grown by one a place
  std::vector<bool> taken(n, false);
  std::vector<std::uint32_t> order;
  while (order.size() < std::min(places, n)) {
    const std::size_t next = best_of(volume, taken);
    if (!(volume[next] > kVolumeMin)) break;
    taken[next] = true;
    order.push_back(static_cast<std::uint32_t>(next));
    const double root = std::sqrt(volume[next]);
    for (std::size_t i = 0; i < n; ++i) {
      if (taken[i]) continue;
      double inner = quality[i] * quality[next] * dot(units, vectors.width, i, next);
      for (std::size_t k = 0; k < rows[i].size(); ++k) inner -= rows[i][k] * rows[next][k];
      const double e = inner / root;
      rows[i].push_back(e);
      volume[i] -= e * e;
    }
  }
  append_by_score(scores, order);
  return order;
}

}  // namespace inkling
