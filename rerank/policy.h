#pragma once
// Policy: what an app lets the scores do to its feed. Guard rails bound the order (see
// rerank/guardrails.h), a search looks for the list that is best as a whole (rerank/list_value.h),
// exploration draws some of it with known odds (rerank/exploration.h), and an experiment holds some
// people out, so that there is something to compare with. Plain values.

#include <functional>
#include <string>

#include "rerank/exploration.h"
#include "rerank/guardrails.h"
#include "rerank/slate.h"

namespace inkling {

struct ItemPin {
  ItemId item;
  std::uint32_t place;
};

struct Experiment {
  std::string salt;
  std::uint64_t person = 0;
  std::uint32_t arms = 1;
  double hold_out = 0;  // the share of people who see the server's order
};

struct Policy {
  std::vector<ItemPin> pins{};  // of items that are not shown, or places beyond the list: nothing
  std::size_t move_max = std::numeric_limits<std::size_t>::max();
  std::size_t fresh_min = 0, fresh_places = 0, spacing = 0;
  // The first list_places are searched for together; 0: the order is by score. Items are alike by
  // their groups, and the guard rails bound what was found.
  std::size_t list_places = 0;
  double list_fatigue = 0.5;   // ListValueOptions::fatigue
  std::size_t list_width = 8;  // BeamOptions::width_max
  double temperature = 0;      // 0: no exploration
  std::size_t explore_places = 0;
  std::uint64_t seed = 0;
  std::optional<Experiment> experiment{};

  bool explores() const { return temperature > 0 && explore_places > 0; }
  bool searches() const { return list_places > 0; }
};

// kInvalidArgument: an item or place pinned twice, a temperature that is negative or not finite, an
// experiment without arms or with a share outside [0, 1], a search with a fatigue outside [0, 1] or
// a width outside 1 to kBeamWidthMax, or guard rails or a search together with exploration: an
// order that is drawn and then mended has no known odds.
Result<void> check_policy(const Policy& policy);

// kHoldOut without an experiment.
Result<std::uint32_t> arm_of(const Policy& policy);

struct ArrangedOrder {
  std::vector<std::uint32_t> order{};  // indices of the candidates
  std::vector<double> propensities{};  // by place, (0, 1]
};

// Scores that are not finite turn exploration and search off for this list. `late`, if there is
// one, stops a search: what it has not placed follows by score.
Result<ArrangedOrder> arrange(const Policy& checked, std::span<const Candidate> candidates,
                              std::span<const float> scores, Rng& rng,
                              const std::function<bool()>& late = {});

}  // namespace inkling
