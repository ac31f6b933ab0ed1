#include "rerank/exploration.h"

#include <algorithm>
#include <cmath>

#include "rerank/ranking.h"
#include "runtime/base/bytes.h"
#include "runtime/base/sha256.h"

namespace inkling {

Result<ExploredOrder> explore(std::span<const float> scores, double temperature, std::size_t places,
                              Rng& rng) {
  if (!(temperature >= 0) || !std::isfinite(temperature) ||
      !std::all_of(scores.begin(), scores.end(), [](float v) { return std::isfinite(v); })) {
    return fail(ErrorCode::kInvalidArgument, "explore: temperature ", temperature,
                ", expected one that is not negative, and finite scores");
  }
  ExploredOrder explored{.order = rank_by_score(scores),
                         .propensity = std::vector<double>(scores.size(), 1.0)};
  if (temperature == 0) return explored;
  auto& order = explored.order;
  for (std::size_t place = 0; place < std::min(places, order.size()); ++place) {
    double highest = 0, total = 0;
    for (std::size_t i = place; i < order.size(); ++i)
      highest = i == place ? scores[order[i]] : std::max<double>(highest, scores[order[i]]);
    const auto weight = [&](std::size_t i) {
      return std::exp((static_cast<double>(scores[order[i]]) - highest) / temperature);
    };
    for (std::size_t i = place; i < order.size(); ++i) total += weight(i);
    double u = rng.uniform() * total;
    std::size_t drawn = place;
    while (drawn + 1 < order.size() && u >= weight(drawn)) u -= weight(drawn++);
    explored.propensity[place] = std::max(weight(drawn) / total, 1e-300);
    // What is left keeps its order.
    std::rotate(order.begin() + static_cast<std::ptrdiff_t>(place),
                order.begin() + static_cast<std::ptrdiff_t>(drawn),
                order.begin() + static_cast<std::ptrdiff_t>(drawn) + 1);
  }
  return explored;
}

Result<std::uint32_t> experiment_arm(std::string_view salt, std::uint64_t person,
                                     std::uint32_t arms, double hold_out) {
  if (arms == 0 || arms == kHoldOut || !(hold_out >= 0 && hold_out <= 1)) {
    return fail(ErrorCode::kInvalidArgument, "experiment: ", arms, " arms and a hold-out of ",
                hold_out, ", expected some arms and a share");
  }
  ByteWriter out;
  out.u64(person);
  out.text(salt);
  const Sha256Digest digest = sha256(out.bytes());
  ByteReader in(digest);
  const double share = static_cast<double>(in.u64() >> 11) * 0x1p-53;
  if (share < hold_out) return kHoldOut;
  return static_cast<std::uint32_t>(in.u64() % arms);
}

}  // namespace inkling
