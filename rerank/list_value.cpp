#include "rerank/list_value.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace inkling {

namespace {

Result<void> check_options(std::span<const float> scores, std::span<const std::uint64_t> groups,
                           const ListValueOptions& o) {
  if (!(o.fatigue >= 0 && o.fatigue <= 1) || !(o.recovery >= 0 && o.recovery < 1) ||
      !(o.patience > 0 && o.patience <= 1)) {
    return fail(ErrorCode::kInvalidArgument, "list value: fatigue ", o.fatigue, ", recovery ",
                o.recovery, ", patience ", o.patience, ", expected shares");
  }
  if (!groups.empty() && groups.size() != scores.size()) {
    return fail(ErrorCode::kInvalidArgument, "list value: ", groups.size(), " groups for ",
                scores.size(), " scores");
  }
  if (!std::all_of(scores.begin(), scores.end(), [](float s) { return std::isfinite(s); }))
    return fail(ErrorCode::kInvalidArgument, "list value: a score that is not finite");
  return {};
}

std::vector<double> softmax_of(std::span<const float> scores) {
  std::vector<double> p(scores.begin(), scores.end());
  if (p.empty()) return p;
  const double highest = *std::max_element(p.begin(), p.end());
  double total = 0;
  for (double& v : p) total += v = std::exp(v - highest);
  for (double& v : p) v /= total;
  return p;
}

}  // namespace

Result<ListValue> ListValue::create(std::span<const float> scores,
                                    std::span<const std::uint64_t> groups,
                                    const ItemVectors& vectors, const ListValueOptions& options) {
  INK_CHECK_OK(check_options(scores, groups, options));
  ListValue value(options);
  value.probabilities_ = softmax_of(scores);
  value.group_.assign(scores.size(), 0);
  std::map<std::uint64_t, std::uint32_t> numbers = {{0, 0}};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto number = static_cast<std::uint32_t>(numbers.size());
    value.group_[i] = numbers.try_emplace(groups[i], number).first->second;
  }
  value.by_group_.resize(numbers.size());
  if (vectors.width > 0) {
    INK_TRY(value.units_, unit_vectors(scores.size(), vectors));
    value.width_ = vectors.width;
    value.direction_.resize(vectors.width);
  }
  return value;
}

void ListValue::gains(std::span<const std::uint32_t> prefix, std::span<double> gains) {
  std::fill(by_group_.begin(), by_group_.end(), 0.0);
  std::fill(direction_.begin(), direction_.end(), 0.0);
  double looks = 1, weight = 1;
  for (auto item = prefix.rbegin(); item != prefix.rend(); ++item) {
    if (group_[*item] > 0) by_group_[group_[*item]] += weight;
    for (std::size_t k = 0; k < width_; ++k) direction_[k] += weight * units_[*item * width_ + k];
    weight *= options_.recovery;
    looks *= options_.patience;
  }
  for (std::size_t i = 0; i < gains.size(); ++i) {
    double alike = 0;
    for (std::size_t k = 0; k < width_; ++k) alike += direction_[k] * units_[i * width_ + k];
    const double tired = std::min(1.0, by_group_[group_[i]] + std::max(alike, 0.0));
    gains[i] = looks * probabilities_[i] * (1 - options_.fatigue * tired);
  }
}

}  // namespace inkling
