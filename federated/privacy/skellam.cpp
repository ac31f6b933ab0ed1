#include "federated/privacy/skellam.h"

#include <cmath>

#include "federated/privacy/gaussian_noise.h"

namespace inkling::privacy {

namespace {

std::int64_t small_poisson(double rate, RandomBits& bits) {
  const double limit = std::exp(-rate);
  std::int64_t count = 0;
  for (double product = uniform(bits); product > limit; product *= uniform(bits)) ++count;
  return count;
}

std::int64_t large_poisson(double rate, RandomBits& bits) {
  const double b = 0.931 + 2.53 * std::sqrt(rate), a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), squeeze = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const double u = uniform(bits) - 0.5, v = uniform(bits);
    const double margin = 0.5 - std::fabs(u);
    const double k = std::floor((2 * a / margin + b) * u + rate + 0.43);
    if (margin >= 0.07 && v <= squeeze) return static_cast<std::int64_t>(k);
    if (k < 0 || (margin < 0.013 && v > margin)) continue;
    const double accepted = std::log(v * inverse_alpha / (a / (margin * margin) + b));
    if (accepted <= k * std::log(rate) - rate - std::lgamma(k + 1)) {
      return static_cast<std::int64_t>(k);
    }
  }
}

std::int64_t poisson(double rate, RandomBits& bits) {
  constexpr double kLarge = 10;
  return rate < kLarge ? small_poisson(rate, bits) : large_poisson(rate, bits);
}

}  // namespace

Result<SkellamNoise> SkellamNoise::create(double variance) {
  if (!(variance > 0 && variance <= kVarianceMax)) {
    return fail(ErrorCode::kInvalidArgument, "skellam: variance is ", variance,
                ", expected above 0 and at most ", kVarianceMax);
  }
  return SkellamNoise(variance / 2);
}

std::int64_t SkellamNoise::sample(RandomBits& bits) const {
  const std::int64_t plus = poisson(rate_, bits);
  return plus - poisson(rate_, bits);
}

}  // namespace inkling::privacy
