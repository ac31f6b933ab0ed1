#pragma once
// One update from the mean updates of several groups of clients, each of them securely aggregated
// by itself: what a server can do against poisoned updates that it cannot see one by one. A group
// with a poisoner in it counts as poisoned; each rule says how many such groups it stands.
//
// Pure functions; results do not depend on the order of the groups.

#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

struct GroupUpdate {
  std::span<const float> delta;  // the group's mean
  double weight = 1;             // its clients' summed weight, above 0
};

enum class GroupRule : std::uint8_t {
  kMean,         // weighted; stands none
  kMedian,       // of each coordinate, unweighted; stands fewer than half (Yin et al., ICML'18)
  kTrimmedMean,  // of each coordinate without the `hostile` smallest and largest (the same)
  kNormBound,    // weighted, deltas longer than `norm_max` shortened to it (Sun et al., 2019)
  kKrum,         // one group, of 2 * hostile + 3 or more (krum.h)
  kBulyan,       // 4 * hostile + 3 or more (krum.h)
  kFlTrust       // by the angle to the server's own `reference`, all as long as that (Cao et al.,
                 // NDSS'21); stands any number that point elsewhere
};
// "mean", "median", "trimmed_mean", "norm_bound", "krum", "bulyan", "fltrust"
std::string_view group_rule_name(GroupRule rule);
// kInvalidArgument naming the known rules.
Result<GroupRule> parse_group_rule(std::string_view name);

struct GroupMeanSpec {
  GroupRule rule = GroupRule::kMean;
  std::size_t hostile = 1;  // groups that may be poisoned: trimmed_mean, krum, bulyan
  double norm_max = 1.0;
  std::span<const float> reference = {};  // fltrust: what the server's own clean examples teach
};

// kInvalidArgument: no group, lengths that differ (of the reference too), a value that is not
// finite, a weight or norm_max not above 0, or too few groups for so many hostile ones, with the
// number needed.
Result<std::vector<float>> group_mean(std::span<const GroupUpdate> groups,
                                      const GroupMeanSpec& spec);

}  // namespace inkling
