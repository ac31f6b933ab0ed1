#include "rerank/diversity.h"

#include <algorithm>
#include <cmath>

#include "rerank/ranking.h"

namespace inkling {

namespace {

constexpr double kVolumeMin = 1e-10;  // squared; below it an item adds nothing

// Unit vectors, row by row.
Result<std::vector<double>> unit_vectors(std::span<const float> scores,
                                         const ItemVectors& vectors) {
  const std::size_t width = vectors.width;
  if (width == 0 || vectors.values.size() != scores.size() * width) {
    return fail(ErrorCode::kInvalidArgument, "diversity: ", vectors.values.size(), " numbers for ",
                scores.size(), " items, expected ", width, " each, and some");
  }
  const auto finite = [](float v) { return std::isfinite(v); };
  if (!std::all_of(scores.begin(), scores.end(), finite) ||
      !std::all_of(vectors.values.begin(), vectors.values.end(), finite))
    return fail(ErrorCode::kInvalidArgument, "diversity: a number that is not finite");
  std::vector<double> units(vectors.values.begin(), vectors.values.end());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const auto row = std::span(units).subspan(i * width, width);
    double squares = 0;
    for (const double v : row) squares += v * v;
    if (squares > 0)
      for (double& v : row) v /= std::sqrt(squares);
  }
  return units;
}

double dot(std::span<const double> units, std::size_t width, std::size_t a, std::size_t b) {
  double total = 0;
  for (std::size_t k = 0; k < width; ++k) total += units[a * width + k] * units[b * width + k];
  return total;
}

void append_rest(std::span<const float> scores, std::vector<std::uint32_t>& order) {
  std::vector<bool> placed(scores.size(), false);
  for (const std::uint32_t i : order) placed[i] = true;
  for (const std::uint32_t i : rank_by_score(scores))
    if (!placed[i]) order.push_back(i);
}

// The first index with the largest value among those not taken; `none` when all are taken.
std::size_t best_of(std::span<const double> values, const std::vector<bool>& taken) {
  std::size_t best = values.size();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!taken[i] && (best == values.size() || values[i] > values[best])) best = i;
  return best;
}

}  // namespace

Result<std::vector<std::uint32_t>> rank_by_mmr(std::span<const float> scores,
                                               const ItemVectors& vectors, double trade,
                                               std::size_t places) {
  if (!(trade >= 0 && trade <= 1))
    return fail(ErrorCode::kInvalidArgument, "mmr: trade ", trade, ", expected 0 to 1");
  INK_TRY(const std::vector<double> units, unit_vectors(scores, vectors));
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
  append_rest(scores, order);
  return order;
}

Result<std::vector<std::uint32_t>> rank_by_dpp(std::span<const float> scores,
                                               const ItemVectors& vectors, double strength,
                                               std::size_t places) {
  if (!(strength > 0) || !std::isfinite(strength))
    return fail(ErrorCode::kInvalidArgument, "dpp: strength ", strength, ", expected above 0");
  INK_TRY(const std::vector<double> units, unit_vectors(scores, vectors));
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
  append_rest(scores, order);
  return order;
}

}  // namespace inkling
