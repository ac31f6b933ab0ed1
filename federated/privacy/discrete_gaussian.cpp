#include "federated/privacy/discrete_gaussian.h"

#include <algorithm>
#include <cmath>

namespace inkling::privacy {

Result<DiscreteGaussian> DiscreteGaussian::create(double sigma) {
  if (!(sigma > 0 && sigma <= kSigmaMax)) {
    return fail(ErrorCode::kInvalidArgument, "discrete gaussian: sigma is ", sigma,
                ", expected above 0 and at most ", kSigmaMax);
  }
  const double units = std::ceil(std::ldexp(sigma * sigma, kFractionBits));
  return DiscreteGaussian(static_cast<std::uint64_t>(std::max(units, 1.0)));
}

DiscreteGaussian::DiscreteGaussian(std::uint64_t variance) : variance_(variance) {
  auto t = static_cast<std::uint64_t>(std::sqrt(std::ldexp(double(variance), -kFractionBits)));
  while (uint128{t + 1} * (t + 1) << kFractionBits <= variance) ++t;
  while (uint128{t} * t << kFractionBits > variance) --t;
  scale_ = t + 1;
}

double DiscreteGaussian::sigma() const {
  return std::sqrt(std::ldexp(static_cast<double>(variance_), -kFractionBits));
}

// Probability proportional to exp(-|x| / scale): Algorithm 2 for s = 1.
std::int64_t DiscreteGaussian::discrete_laplace(RandomBits& bits) const {
  for (;;) {
    const std::uint64_t remainder = bits.below(scale_);
    if (!bits.bernoulli_exp(remainder, scale_)) continue;
    std::uint64_t quotient = 0;
    while (bits.bernoulli_exp(1, 1)) ++quotient;
    const auto magnitude = static_cast<std::int64_t>(remainder + scale_ * quotient);
    const bool negative = bits.bit();
    if (negative && magnitude == 0) continue;
    return negative ? -magnitude : magnitude;
  }
}

// Accepts a draw y of scale t with probability exp(-(|y| - s^2 / t)^2 / (2 s^2)). With the variance
// v = s^2 * 2^16, the exponent is (|y| t 2^16 - v)^2 / (2 v t^2 2^16).
std::int64_t DiscreteGaussian::sample(RandomBits& bits) const {
  const uint128 denominator = (uint128{variance_} * scale_ * scale_) << (kFractionBits + 1);
  for (;;) {
    const std::int64_t draw = discrete_laplace(bits);
    const auto magnitude = static_cast<std::uint64_t>(draw < 0 ? -draw : draw);
    const uint128 there = uint128{magnitude} * scale_ << kFractionBits;
    const uint128 distance = there > variance_ ? there - variance_ : variance_ - there;
    constexpr uint128 kFarthest = uint128{1} << 63;
    if (distance >= kFarthest) continue;  // would be accepted with less than exp(-2^13)
    if (bits.bernoulli_exp(distance * distance, denominator)) return draw;
  }
}

}  // namespace inkling::privacy
