#pragma once
// Orders drawn at random with known odds, so that the log can tell later what another policy would
// have earned (rerank/off_policy.h), and the arms of an experiment.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/rng.h"

namespace inkling {

struct ExploredOrder {
  std::vector<std::uint32_t> order{};  // indices of the scores
  std::vector<double> propensity{};    // by place: of this item there, given those above it; (0, 1]
};

// The first `places` places are drawn one by one from softmax(scores / temperature) over what is
// left (Plackett and Luce); the others follow by score. temperature 0 turns it off: propensities
// are 1. kInvalidArgument: a temperature that is negative, or scores that are not finite.
Result<ExploredOrder> explore(std::span<const float> scores, double temperature, std::size_t places,
                              Rng& rng);

// Which arm a person is in: a salted hash, so that experiments with different salts are
// independent, and the same person always sees the same arm. The share `hold_out` gets kHoldOut.
inline constexpr std::uint32_t kHoldOut = 0xffffffff;
// kInvalidArgument: no arms, or a share outside [0, 1].
Result<std::uint32_t> experiment_arm(std::string_view salt, std::uint64_t person,
                                     std::uint32_t arms, double hold_out);

}  // namespace inkling
