#include "rerank/policy.h"

#include <algorithm>
#include <cmath>

#include "rerank/list_value.h"
#include "rerank/ranking.h"

namespace inkling {

namespace {

constexpr std::size_t kAnyMove = std::numeric_limits<std::size_t>::max();

bool has_guardrails(const Policy& p) {
  return !p.pins.empty() || p.move_max != kAnyMove || p.fresh_min > 0 || p.spacing > 0;
}

template <typename T>
bool twice(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return std::adjacent_find(values.begin(), values.end()) != values.end();
}

Guardrails rules_of(const Policy& policy, std::span<const Candidate> candidates) {
  Guardrails rules{.move_max = policy.move_max,
                   .fresh_min = policy.fresh_min,
                   .fresh_places = policy.fresh_places,
                   .spacing = policy.spacing};
  for (const ItemPin& pin : policy.pins) {
    const auto found = std::find_if(candidates.begin(), candidates.end(),
                                    [&](const Candidate& c) { return c.item == pin.item; });
    if (found != candidates.end() && pin.place < candidates.size())
      rules.pins.push_back({static_cast<std::uint32_t>(found - candidates.begin()), pin.place});
  }
  return rules;
}

std::vector<std::uint64_t> groups_of(std::span<const Candidate> candidates) {
  std::vector<std::uint64_t> groups;
  for (const Candidate& c : candidates) groups.push_back(c.group);
  return groups;
}

// The list that the search finds, and behind it the others by score.
Result<std::vector<std::uint32_t>> search_list(const Policy& policy,
                                               std::span<const Candidate> candidates,
                                               std::span<const float> scores,
                                               const std::function<bool()>& late) {
  INK_TRY(ListValue value,
          ListValue::create(scores, groups_of(candidates), {}, {.fatigue = policy.list_fatigue}));
  const BeamOptions beam{.places = policy.list_places, .width_max = policy.list_width};
  INK_TRY(BeamResult found, beam_search(value, scores.size(), beam, late));
  append_by_score(scores, found.list);
  return std::move(found.list);
}

}  // namespace

Result<void> check_policy(const Policy& policy) {
  std::vector<ItemId> items;
  std::vector<std::uint32_t> places;
  for (const ItemPin& pin : policy.pins) {
    items.push_back(pin.item);
    places.push_back(pin.place);
  }
  if (twice(items) || twice(places))
    return fail(ErrorCode::kInvalidArgument, "policy: an item or a place is pinned twice");
  if (!(policy.temperature >= 0) || !std::isfinite(policy.temperature))
    return fail(ErrorCode::kInvalidArgument, "policy: temperature ", policy.temperature,
                ", expected a finite number from 0");
  if (policy.explores() && has_guardrails(policy))
    return fail(ErrorCode::kInvalidArgument,
                "policy: guard rails and exploration together leave no known odds");
  if (policy.explores() && policy.searches())
    return fail(ErrorCode::kInvalidArgument,
                "policy: a list search and exploration together leave no known odds");
  if (!(policy.list_fatigue >= 0 && policy.list_fatigue <= 1) || policy.list_width < 1 ||
      policy.list_width > kBeamWidthMax) {
    return fail(ErrorCode::kInvalidArgument, "policy: list fatigue ", policy.list_fatigue,
                ", list width ", policy.list_width, ", expected 0 to 1, and 1 to ", kBeamWidthMax);
  }
  INK_CHECK_OK(arm_of(policy));
  return {};
}

Result<std::uint32_t> arm_of(const Policy& policy) {
  if (!policy.experiment) return kHoldOut;
  const Experiment& e = *policy.experiment;
  return experiment_arm(e.salt, e.person, e.arms, e.hold_out);
}

Result<ArrangedOrder> arrange(const Policy& checked, std::span<const Candidate> candidates,
                              std::span<const float> scores, Rng& rng,
                              const std::function<bool()>& late) {
  const bool finite =
      std::all_of(scores.begin(), scores.end(), [](float s) { return std::isfinite(s); });
  if (checked.explores() && finite) {
    INK_TRY(ExploredOrder drawn, explore(scores, checked.temperature, checked.explore_places, rng));
    return ArrangedOrder{std::move(drawn.order), std::move(drawn.propensity)};
  }
  ArrangedOrder arranged{.propensities = std::vector<double>(scores.size(), 1.0)};
  if (checked.searches() && finite) {
    INK_TRY(arranged.order, search_list(checked, candidates, scores, late));
  } else {
    arranged.order = rank_by_score(scores);
  }
  if (!has_guardrails(checked)) return arranged;
  const std::vector<std::uint64_t> groups = groups_of(candidates);
  std::vector<std::uint8_t> fresh;
  for (const Candidate& c : candidates) fresh.push_back(c.fresh ? 1 : 0);
  INK_TRY(arranged.order, apply_guardrails(arranged.order, rules_of(checked, candidates),
                                           {.categories = groups, .fresh = fresh}));
  return arranged;
}

}  // namespace inkling
