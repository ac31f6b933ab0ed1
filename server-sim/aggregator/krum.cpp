#include "server-sim/aggregator/krum.h"

#include <algorithm>
#include <numeric>

namespace inkling {

namespace {

using Deltas = std::span<const GroupDelta>;

// [n, n]
std::vector<double> squared_distances(Deltas deltas) {
  const std::size_t n = deltas.size();
  std::vector<double> distance(n * n, 0.0);
  for (std::size_t a = 0; a < n; ++a) {
    for (std::size_t b = a + 1; b < n; ++b) {
      double sum = 0;
      for (std::size_t j = 0; j < deltas[a].size(); ++j) {
        const double d = static_cast<double>(deltas[a][j]) - deltas[b][j];
        sum += d * d;
      }
      distance[a * n + b] = distance[b * n + a] = sum;
    }
  }
  return distance;
}

// Krum among the groups of `left`: its position there.
std::size_t krum_among(std::span<const double> distance, std::size_t n,
                       std::span<const std::size_t> left, std::size_t hostile) {
  const std::size_t nearest = left.size() > hostile + 2 ? left.size() - hostile - 2 : 1;
  std::size_t best = 0;
  double best_score = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::vector<double> to;
    for (std::size_t k = 0; k < left.size(); ++k) {
      if (k != i) to.push_back(distance[left[i] * n + left[k]]);
    }
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

// Of sorted values, the mean of the `keep` that lie nearest the median: a window of them.
double mean_around_median(std::span<const float> sorted, std::size_t keep) {
  const std::size_t half = sorted.size() / 2;
  const double middle =
      sorted.size() % 2 == 1 ? sorted[half] : (double{sorted[half - 1]} + sorted[half]) / 2;
  std::size_t begin = 0;
  while (begin + keep < sorted.size() && sorted[begin + keep] - middle < middle - sorted[begin])
    ++begin;
  const auto window = sorted.subspan(begin, keep);
  return std::accumulate(window.begin(), window.end(), 0.0) / static_cast<double>(keep);
}

std::vector<std::size_t> all_of(Deltas deltas) {
  std::vector<std::size_t> all(deltas.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

}  // namespace

std::size_t krum(Deltas deltas, std::size_t hostile) {
  return krum_among(squared_distances(deltas), deltas.size(), all_of(deltas), hostile);
}

std::vector<float> bulyan(Deltas deltas, std::size_t hostile) {
  const std::vector<double> distance = squared_distances(deltas);
  std::vector<std::size_t> left = all_of(deltas), chosen;
  while (chosen.size() < deltas.size() - 2 * hostile) {
    const std::size_t best = krum_among(distance, deltas.size(), left, hostile);
    chosen.push_back(left[best]);
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(best));
  }
  std::vector<float> out(deltas[0].size()), sorted(chosen.size());
  for (std::size_t j = 0; j < out.size(); ++j) {
    for (std::size_t i = 0; i < chosen.size(); ++i) sorted[i] = deltas[chosen[i]][j];
    std::sort(sorted.begin(), sorted.end());
    out[j] = static_cast<float>(mean_around_median(sorted, chosen.size() - 2 * hostile));
  }
  return out;
}

}  // namespace inkling
