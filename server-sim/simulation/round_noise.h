#pragma once
// RoundNoise: the differential privacy of a simulated task: how much noise a round has, what it
// costs, and whether the next round may be played.
//
// The unit is one client that is added or removed. A cohort of fixed size is accounted for as if
// every client had joined with the same probability (Poisson sampling), as the literature does;
// with `amplified` false no credit is taken for sampling.

#include <limits>
#include <string_view>
#include <vector>

#include "federated/privacy/accountant.h"
#include "federated/secagg/config.h"

namespace inkling {

enum class NoisePlace : std::uint8_t {
  kNone,
  kCentral,           // Gaussian, added to the sum by a server that is trusted with it
  kDiscreteGaussian,  // distributed: each client adds its share before masking
  kSkellam,           // the same
  // By a trusted server, on the sum of all rounds so far, as DP-FTRL does (Kairouz et al.,
  // "Practical and Private (Deep) Learning Without Sampling or Shuffling", ICML 2021): each client
  // takes part once, and sampling needs no credit.
  kTree
};
// "none", "central", "discrete_gaussian", "skellam" or "tree".
Result<NoisePlace> noise_place_from(std::string_view name);

struct PrivacySpec {
  NoisePlace place = NoisePlace::kNone;
  double noise_multiplier = 1.0;  // standard deviation of the sum's noise over the clipping norm
  bool calibrated = false;        // instead: the least with which all rounds keep within epsilon
  double epsilon = std::numeric_limits<double>::infinity();  // budget
  double delta = 1e-6;
  bool amplified = true;
};

// The noise of a group's config; call it last, when config.n_min clients are what the group counts
// on.
void set_group_noise(const PrivacySpec& spec, secagg::Config& config);

// Standard deviation that a trusted server adds to a mean over `clients` updates of norm up to
// clip_l2; 0 unless the place is kCentral or, for each node of the tree, kTree.
double central_sigma(const PrivacySpec& spec, double clip_l2, std::size_t clients);

// kTree. The noise of the sum of rounds 1..t is that of the nodes of a binary tree over the rounds
// whose ranges make up 1..t, one for each bit of t: between two sums, these nodes come and those
// go.
struct TreeStep {
  std::vector<std::uint64_t> come, go;  // numbers of nodes, each of which has a noise of its own
};
TreeStep tree_step(std::uint64_t round);  // from 1

class RoundNoise {
 public:
  // sampling: the share of the population that a round asks. smallest: the config of the smallest
  // group that a round may have, after set_group_noise(): what every round is accounted for as.
  static Result<RoundNoise> create(const PrivacySpec& spec, double sampling,
                                   const secagg::Config& smallest);

  // kResourceLimit when `round`, from 1, would take the task over its budget: do not play it.
  Result<void> check_round(std::uint64_t round) const;
  // Of so many rounds, at the spec's delta; 0 without noise.
  Result<double> epsilon(std::uint64_t rounds) const;

 private:
  RoundNoise(const PrivacySpec& spec, const privacy::Mechanism& mechanism)
      : spec_(spec), mechanism_(mechanism) {}
  Result<std::uint64_t> find_rounds_max() const;

  PrivacySpec spec_;
  privacy::Mechanism mechanism_;
  std::uint64_t rounds_max_ = std::numeric_limits<std::uint64_t>::max();
};

}  // namespace inkling
