#pragma once
// SkellamNoise: the difference of two Poisson variables. Sums of them are Skellam again, so the
// noise of a cohort is exactly known whoever drops out. Poisson variables are drawn by Hormann's
// transformed rejection (PTRS, 1993) in f64: unlike DiscreteGaussian this is exact up to rounding
// only.

#include "federated/privacy/random_bits.h"

namespace inkling::privacy {

class SkellamNoise {
 public:
  static constexpr double kVarianceMax = 0x1p40;

  // kInvalidArgument unless variance is above 0 and at most kVarianceMax.
  static Result<SkellamNoise> create(double variance);
  std::int64_t sample(RandomBits& bits) const;

 private:
  explicit SkellamNoise(double rate) : rate_(rate) {}
  double rate_;  // of each Poisson variable: half the variance
};

}  // namespace inkling::privacy
