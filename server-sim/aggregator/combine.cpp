#include "server-sim/aggregator/combine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace inkling {

namespace {

using Rows = std::span<const std::vector<float>>;

constexpr std::array<std::string_view, 5> kNames = {"mean", "median", "trimmed_mean", "krum",
                                                    "bulyan"};

std::vector<float> weighted_mean(Rows rows, std::span<const double> weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<float> out(rows[0].size());
  for (std::size_t j = 0; j < out.size(); ++j) {
    double sum = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) sum += weights[i] * rows[i][j];
    out[j] = static_cast<float>(sum / total);
  }
  return out;
}

// Gives the values of each coordinate, sorted, to `pick`.
template <typename Pick>
std::vector<float> by_coordinate(Rows rows, std::span<const std::size_t> chosen, const Pick& pick) {
  std::vector<float> out(rows[0].size()), values(chosen.size());
  for (std::size_t j = 0; j < out.size(); ++j) {
    for (std::size_t i = 0; i < chosen.size(); ++i) values[i] = rows[chosen[i]][j];
    std::sort(values.begin(), values.end());
    out[j] = pick(std::span<const float>(values));
  }
  return out;
}

float mean_of(std::span<const float> values) {
  return static_cast<float>(std::accumulate(values.begin(), values.end(), 0.0) /
                            static_cast<double>(values.size()));
}

float median_of(std::span<const float> sorted) {
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : mean_of(sorted.subspan(half - 1, 2));
}

// The `keep` values whose span is nearest to the median: a window of the sorted values.
float mean_around_median(std::span<const float> sorted, std::size_t keep) {
  const float middle = median_of(sorted);
  std::size_t begin = 0;
  while (begin + keep < sorted.size() && sorted[begin + keep] - middle < middle - sorted[begin])
    ++begin;
  return mean_of(sorted.subspan(begin, keep));
}

std::vector<double> squared_distances(Rows rows) {
  const std::size_t n = rows.size();
  std::vector<double> distance(n * n, 0.0);
  for (std::size_t a = 0; a < n; ++a) {
    for (std::size_t b = a + 1; b < n; ++b) {
      double sum = 0;
      for (std::size_t j = 0; j < rows[a].size(); ++j) {
        const double d = static_cast<double>(rows[a][j]) - rows[b][j];
        sum += d * d;
      }
      distance[a * n + b] = distance[b * n + a] = sum;
    }
  }
  return distance;
}

// Krum among the rows of `left`: its position there. Ties go to the first.
std::size_t krum(std::span<const double> distance, std::size_t n, std::span<const std::size_t> left,
                 std::size_t hostile) {
  const std::size_t nearest = left.size() > hostile + 2 ? left.size() - hostile - 2 : 1;
  std::size_t best = 0;
  double best_score = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::vector<double> to;
    for (std::size_t k = 0; k < left.size(); ++k)
      if (k != i) to.push_back(distance[left[i] * n + left[k]]);
    std::sort(to.begin(), to.end());
    to.resize(std::min(nearest, to.size()));
    const double score = std::accumulate(to.begin(), to.end(), 0.0);
    if (i == 0 || score < best_score) {
      best = i;
      best_score = score;
    }
  }
  return best;
}

std::vector<float> bulyan(Rows rows, std::span<const std::size_t> all, std::size_t hostile) {
  const std::vector<double> distance = squared_distances(rows);
  std::vector<std::size_t> left(all.begin(), all.end()), chosen;
  while (chosen.size() < rows.size() - 2 * hostile) {
    const std::size_t best = krum(distance, rows.size(), left, hostile);
    chosen.push_back(left[best]);
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(best));
  }
  const std::size_t keep = chosen.size() - 2 * hostile;
  return by_coordinate(rows, chosen,
                       [&](std::span<const float> v) { return mean_around_median(v, keep); });
}

std::size_t rows_needed(Combine rule, std::size_t hostile) {
  if (rule == Combine::kKrum) return 2 * hostile + 3;
  if (rule == Combine::kBulyan) return 4 * hostile + 3;
  return rule == Combine::kTrimmedMean ? 2 * hostile + 1 : 1;
}

}  // namespace

Result<Combine> combine_from(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found != kNames.end()) return static_cast<Combine>(found - kNames.begin());
  return fail(ErrorCode::kInvalidArgument, "combine '", name,
              "': expected mean, median, trimmed_mean, krum or bulyan");
}

Result<std::vector<float>> combine(const CombineSpec& spec, Rows rows,
                                   std::span<const double> weights) {
  if (!(spec.hostile >= 0 && spec.hostile < 0.5))
    return fail(ErrorCode::kInvalidArgument, "combine: a hostile share of ", spec.hostile,
                ", expected 0 to below 0.5");
  const auto hostile =
      static_cast<std::size_t>(std::ceil(spec.hostile * static_cast<double>(rows.size()) - 1e-9));
  const std::size_t needed = rows_needed(spec.rule, hostile);
  if (rows.size() < needed) {
    return fail(ErrorCode::kInvalidArgument, "combine: ", rows.size(), " groups, ",
                kNames[static_cast<std::size_t>(spec.rule)], " with ", hostile,
                " hostile ones needs ", needed);
  }
  for (const auto& row : rows) {
    if (row.size() != rows[0].size() || weights.size() != rows.size())
      return fail(ErrorCode::kInvalidArgument, "combine: a row of ", row.size(),
                  " parameters beside one of ", rows[0].size());
  }
  std::vector<std::size_t> all(rows.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  switch (spec.rule) {
    case Combine::kMean:
      return weighted_mean(rows, weights);
    case Combine::kMedian:
      return by_coordinate(rows, all, [](std::span<const float> v) { return median_of(v); });
    case Combine::kTrimmedMean:
      return by_coordinate(rows, all, [&](std::span<const float> v) {
        return mean_of(v.subspan(hostile, v.size() - 2 * hostile));
      });
    case Combine::kKrum:
      return rows[krum(squared_distances(rows), rows.size(), all, hostile)];
    case Combine::kBulyan:
      return bulyan(rows, all, hostile);
  }
  return fail(ErrorCode::kInvalidArgument, "combine: no such rule");
}

}  // namespace inkling
