#pragma once
// Privacy loss distributions of Gaussian mechanisms: the tightest accountant we have for them.
//
// The loss of one use is discretised by connecting the dots (Doroshenko et al., "Connect the Dots:
// Tighter Discrete Approximations of Privacy Loss Distributions", PETS'22), which only ever raises
// it, and composed by FFT; mass that falls off an end counts as lost. Add and remove are kept
// apart and the worse one counts.

#include <span>

#include "federated/privacy/mechanism.h"

namespace inkling::privacy {

struct GaussianUse {
  Gaussian mechanism;
  std::uint64_t count = 1;
};

// An upper bound on epsilon at delta in (0, 1) for all uses together. kResourceLimit: the losses
// span more than kLossPointsMax grid points even on a coarser grid.
Result<double> pld_epsilon(std::span<const GaussianUse> uses, double delta);

inline constexpr double kLossGrid = 1e-4;
inline constexpr std::size_t kLossPointsMax = std::size_t{1} << 22;

}  // namespace inkling::privacy
