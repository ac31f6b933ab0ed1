#include "rerank/ranking.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace inkling {

std::vector<std::uint32_t> rank_by_score(std::span<const float> scores) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    if (std::isnan(scores[a]) || std::isnan(scores[b]))
      return !std::isnan(scores[a]) && std::isnan(scores[b]);
    return scores[a] > scores[b];
  });
  return order;
}

void append_by_score(std::span<const float> scores, std::vector<std::uint32_t>& order) {
  std::vector<bool> placed(scores.size(), false);
  for (const std::uint32_t i : order) placed[i] = true;
  for (const std::uint32_t i : rank_by_score(scores))
    if (!placed[i]) order.push_back(i);
}

}  // namespace inkling
