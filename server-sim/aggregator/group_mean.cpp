#include "server-sim/aggregator/group_mean.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "server-sim/aggregator/krum.h"

namespace inkling {

namespace {

constexpr std::array<std::string_view, 7> kNames = {"mean", "median", "trimmed_mean", "norm_bound",
                                                    "krum", "bulyan", "fltrust"};

std::size_t groups_needed(const GroupMeanSpec& spec) {
  switch (spec.rule) {
    case GroupRule::kTrimmedMean:
      return 2 * spec.hostile + 1;
    case GroupRule::kKrum:
      return 2 * spec.hostile + 3;
    case GroupRule::kBulyan:
      return 4 * spec.hostile + 3;
    default:
      return 1;
  }
}

Result<void> check(std::span<const GroupUpdate> groups, const GroupMeanSpec& spec) {
  if (groups.empty()) return fail(ErrorCode::kInvalidArgument, "group mean: no group");
  for (const GroupUpdate& group : groups) {
    if (group.delta.size() != groups[0].delta.size()) {
      return fail(ErrorCode::kInvalidArgument, "group mean: deltas of ", groups[0].delta.size(),
                  " and ", group.delta.size(), " coordinates");
    }
    const bool finite = std::all_of(group.delta.begin(), group.delta.end(),
                                    [](float v) { return std::isfinite(v); });
    if (!finite || !(group.weight > 0) || !std::isfinite(group.weight)) {
      return fail(ErrorCode::kInvalidArgument, "group mean: weight ", group.weight,
                  " or a delta out of range");
    }
  }
  if (groups.size() < groups_needed(spec)) {
    return fail(ErrorCode::kInvalidArgument, "group mean: ", groups.size(), " groups, ",
                group_rule_name(spec.rule), " with ", spec.hostile, " hostile ones needs ",
                groups_needed(spec));
  }
  if (spec.rule == GroupRule::kFlTrust && spec.reference.size() != groups[0].delta.size()) {
    return fail(ErrorCode::kInvalidArgument, "group mean: a reference of ", spec.reference.size(),
                " coordinates for deltas of ", groups[0].delta.size());
  }
  if (spec.rule == GroupRule::kNormBound && !(spec.norm_max > 0)) {
    return fail(ErrorCode::kInvalidArgument, "group mean: norm_max is ", spec.norm_max);
  }
  return {};
}

double length_of(std::span<const float> delta) {
  double square = 0;
  for (const float v : delta) square += static_cast<double>(v) * v;
  return std::sqrt(square);
}

// fltrust: the cosine to the reference where it is above 0, the weight with it, and the length.
std::vector<double> trusted_shares(std::span<const GroupUpdate> groups,
                                   std::span<const float> reference) {
  const double length = length_of(reference);
  std::vector<double> trust, shares;
  for (const GroupUpdate& group : groups) {
    double product = 0;
    for (std::size_t i = 0; i < reference.size(); ++i)
      product += static_cast<double>(group.delta[i]) * reference[i];
    const double own = length_of(group.delta);
    const bool is_trusted = product > 0;
    trust.push_back(is_trusted ? group.weight * product / (own * length) : 0);
    shares.push_back(is_trusted ? trust.back() * length / own : 0);
  }
  std::sort(trust.begin(), trust.end());
  const double total = std::accumulate(trust.begin(), trust.end(), 0.0);
  for (double& share : shares) share = total > 0 ? share / total : 0;
  return shares;
}

// How much of each group's delta is in the result.
std::vector<double> shares_of(std::span<const GroupUpdate> groups, const GroupMeanSpec& spec) {
  if (spec.rule == GroupRule::kFlTrust) return trusted_shares(groups, spec.reference);
  double total = 0;
  for (const GroupUpdate& group : groups) total += group.weight;
  std::vector<double> shares;
  for (const GroupUpdate& group : groups) {
    double share = group.weight / total;
    if (spec.rule == GroupRule::kNormBound) {
      const double length = length_of(group.delta);
      if (length > spec.norm_max) share *= spec.norm_max / length;
    }
    shares.push_back(share);
  }
  return shares;
}

// The mean of what is left of sorted values without `cut` at each end.
double middle_mean(std::span<const float> sorted, std::size_t cut) {
  const auto rest = sorted.subspan(cut, sorted.size() - 2 * cut);
  return std::accumulate(rest.begin(), rest.end(), 0.0) / static_cast<double>(rest.size());
}

}  // namespace

std::string_view group_rule_name(GroupRule rule) { return kNames[static_cast<std::size_t>(rule)]; }

Result<GroupRule> parse_group_rule(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found != kNames.end()) return static_cast<GroupRule>(found - kNames.begin());
  return fail(ErrorCode::kInvalidArgument, "group mean: ", name,
              " is not one of mean, median, trimmed_mean, norm_bound, krum, bulyan and fltrust");
}

Result<std::vector<float>> group_mean(std::span<const GroupUpdate> groups,
                                      const GroupMeanSpec& spec) {
  INK_CHECK_OK(check(groups, spec));
  std::vector<GroupDelta> deltas;
  for (const GroupUpdate& group : groups) deltas.push_back(group.delta);
  if (spec.rule == GroupRule::kBulyan) return bulyan(deltas, spec.hostile);
  if (spec.rule == GroupRule::kKrum) {
    const GroupDelta chosen = deltas[krum(deltas, spec.hostile)];
    return std::vector<float>(chosen.begin(), chosen.end());
  }
  const bool by_rank = spec.rule == GroupRule::kMedian || spec.rule == GroupRule::kTrimmedMean;
  const std::size_t cut = spec.rule == GroupRule::kMedian ? (groups.size() - 1) / 2 : spec.hostile;
  const std::vector<double> shares = shares_of(groups, spec);
  std::vector<float> out(groups[0].delta.size()), sorted(groups.size());
  for (std::size_t j = 0; j < out.size(); ++j) {
    for (std::size_t g = 0; g < groups.size(); ++g)
      sorted[g] = by_rank ? groups[g].delta[j] : static_cast<float>(shares[g] * groups[g].delta[j]);
    std::sort(sorted.begin(), sorted.end());
    out[j] = static_cast<float>(by_rank ? middle_mean(sorted, cut)
                                        : std::accumulate(sorted.begin(), sorted.end(), 0.0));
  }
  return out;
}

}  // namespace inkling
