#include "server-sim/simulation/round_noise.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "federated/round_privacy.h"

namespace inkling {

namespace {

constexpr std::array<std::string_view, 5> kNames = {"none", "central", "discrete_gaussian",
                                                    "skellam", "tree"};

}  // namespace

Result<NoisePlace> noise_place_from(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found != kNames.end()) return static_cast<NoisePlace>(found - kNames.begin());
  return fail(ErrorCode::kInvalidArgument, "noise '", name,
              "': expected none, central, discrete_gaussian, skellam or tree");
}

void set_group_noise(const PrivacySpec& spec, secagg::Config& config) {
  if (spec.place != NoisePlace::kDiscreteGaussian && spec.place != NoisePlace::kSkellam) return;
  config.noise = spec.place == NoisePlace::kSkellam ? secagg::Noise::kSkellam
                                                    : secagg::Noise::kDiscreteGaussian;
  config.noise_sigma = spec.noise_multiplier * federated::rounded_norm_max(config) /
                       std::sqrt(static_cast<double>(config.n_min));
}

double central_sigma(const PrivacySpec& spec, double clip_l2, std::size_t clients) {
  if (spec.place != NoisePlace::kCentral && spec.place != NoisePlace::kTree) return 0;
  return spec.noise_multiplier * clip_l2 / static_cast<double>(clients);
}

TreeStep tree_step(std::uint64_t round) {
  // A node ends where its number, in units of its size, does: for bit b of t, at t without the bits
  // below b.
  const auto nodes_of = [](std::uint64_t t) {
    std::vector<std::uint64_t> nodes;
    for (unsigned bit = 0; t >> bit != 0; ++bit)
      if ((t >> bit & 1) != 0) nodes.push_back(std::uint64_t{bit} << 40 | t >> bit);
    return nodes;
  };
  TreeStep step{.come = nodes_of(round), .go = nodes_of(round - 1)};
  const auto in_both = [](const std::vector<std::uint64_t>& other) {
    return [&other](std::uint64_t node) {
      return std::find(other.begin(), other.end(), node) != other.end();
    };
  };
  const std::vector<std::uint64_t> come = step.come;
  std::erase_if(step.come, in_both(step.go));
  std::erase_if(step.go, in_both(come));
  return step;
}

Result<RoundNoise> RoundNoise::create(const PrivacySpec& spec, double sampling,
                                      const secagg::Config& smallest) {
  const double credit = spec.amplified ? std::min(sampling, 1.0) : 1.0;
  privacy::Mechanism mechanism =
      privacy::Gaussian{.noise_multiplier = spec.noise_multiplier, .sampling = credit};
  if (auto distributed = federated::mechanism_of(smallest)) {
    mechanism = *distributed;
    std::visit(
        [&](auto& m) {
          if constexpr (requires { m.sampling; }) m.sampling = credit;
        },
        mechanism);
  }
  RoundNoise noise(spec, mechanism);
  if (spec.place == NoisePlace::kNone) return noise;
  if (!(spec.noise_multiplier > 0 && spec.epsilon > 0 && spec.delta > 0 && spec.delta < 1)) {
    return fail(ErrorCode::kInvalidArgument, "privacy: noise multiplier ", spec.noise_multiplier,
                ", epsilon ", spec.epsilon, ", delta ", spec.delta,
                ": expected above 0, delta below 1");
  }
  if (std::isfinite(spec.epsilon)) {
    INK_TRY(noise.rounds_max_, noise.find_rounds_max());
  }
  return noise;
}

// Epsilon grows with the rounds: doubling, then bisection.
Result<std::uint64_t> RoundNoise::find_rounds_max() const {
  constexpr std::uint64_t kRoundsMax = std::uint64_t{1} << 30;
  std::uint64_t within = 0, beyond = 1;
  while (beyond < kRoundsMax) {
    INK_TRY(const double spent, epsilon(beyond));
    if (spent > spec_.epsilon) break;
    within = beyond;
    beyond *= 2;
  }
  while (beyond - within > 1) {
    const std::uint64_t middle = within + (beyond - within) / 2;
    INK_TRY(const double spent, epsilon(middle));
    (spent > spec_.epsilon ? beyond : within) = middle;
  }
  return within;
}

Result<void> RoundNoise::check_round(std::uint64_t round) const {
  if (round <= rounds_max_) return {};
  return fail(ErrorCode::kResourceLimit, "privacy: round ", round, " would exceed epsilon ",
              spec_.epsilon, " at delta ", spec_.delta, ", which ", rounds_max_, " rounds use up");
}

Result<double> RoundNoise::epsilon(std::uint64_t rounds) const {
  if (spec_.place == NoisePlace::kNone || rounds == 0) return 0.0;
  privacy::Accountant account;
  if (spec_.place == NoisePlace::kTree) {
    INK_CHECK_OK(account.add({privacy::Tree{spec_.noise_multiplier, rounds}, 1}));
  } else {
    INK_CHECK_OK(account.add({mechanism_, rounds}));
  }
  INK_TRY(const privacy::Spent spent, account.spent(spec_.delta));
  return spent.epsilon;
}

}  // namespace inkling
