#pragma once
// DiscreteGaussian: integers with probability proportional to exp(-x^2 / (2 sigma^2)), sampled
// exactly (Canonne, Kamath and Steinke, NeurIPS'20, Algorithm 3). Its running time depends on what
// is drawn: whoever can time single draws on the device learns about the noise.

#include "federated/privacy/random_bits.h"

namespace inkling::privacy {

class DiscreteGaussian {
 public:
  static constexpr double kSigmaMax = 0x1p20;

  // The variance is rounded up to a multiple of 2^-16. kInvalidArgument unless sigma is above 0
  // and at most kSigmaMax.
  static Result<DiscreteGaussian> create(double sigma);

  std::int64_t sample(RandomBits& bits) const;
  double sigma() const;  // of the rounded variance

 private:
  static constexpr int kFractionBits = 16;
  explicit DiscreteGaussian(std::uint64_t variance);
  std::int64_t discrete_laplace(RandomBits& bits) const;

  std::uint64_t variance_;  // in units of 2^-16
  std::uint64_t scale_;     // of the Laplace distribution that is drawn from: floor(sigma) + 1
};

}  // namespace inkling::privacy
