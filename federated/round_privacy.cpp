#include "federated/round_privacy.h"

#include <algorithm>
#include <cmath>

namespace inkling::federated {

double rounded_norm_max(const secagg::Config& config) {
  const double d = static_cast<double>(config.ring_dimension());
  const double norm = config.scale * config.clip_l2, root = std::sqrt(d);
  // sqrt(2 ln(1 / beta)) is 1.
  const double likely = std::sqrt(norm * norm + d / 4 + (norm + root / 2));
  return std::min(norm + root, likely);
}

std::optional<privacy::Mechanism> mechanism_of(const secagg::Config& config) {
  if (config.noise == secagg::Noise::kNone) return std::nullopt;
  const std::uint64_t honest_share = std::uint64_t{secagg::kPpm - config.gamma_ppm} * config.n_min;
  const auto clients = static_cast<std::uint32_t>((honest_share + secagg::kPpm - 1) / secagg::kPpm);
  const double d = static_cast<double>(config.ring_dimension());
  const double l2 = rounded_norm_max(config);
  const double l1 = l2 * std::min(std::sqrt(d), l2);  // of an integer vector
  if (config.noise == secagg::Noise::kSkellam) {
    return privacy::Skellam{
        .variance = clients * config.noise_sigma * config.noise_sigma, .l2 = l2, .l1 = l1};
  }
  return privacy::DistributedDiscreteGaussian{.sigma = config.noise_sigma,
                                              .clients = clients,
                                              .l2 = l2,
                                              .l1 = l1,
                                              .dimension = config.ring_dimension()};
}

}  // namespace inkling::federated
