#pragma once
// The noise mechanisms of a task, as the accountant sees them: enough of each to bound what it
// gives away, and nothing about data.
//
// Neighbouring data sets differ by one client that is added or removed.

#include <cstdint>
#include <string>
#include <variant>

#include "runtime/base/bytes.h"

namespace inkling::privacy {

// Gaussian noise of standard deviation noise_multiplier * sensitivity on a sum over clients that
// each took part with probability sampling (Poisson); 1: all of them.
struct Gaussian {
  double noise_multiplier = 1.0;
  double sampling = 1.0;
};

// Each of at least `clients` honest survivors adds discrete Gaussian noise N_Z(0, sigma^2) to every
// coordinate of an integer vector with norms up to l2 and l1 (Kairouz, Liu and Steinke, "The
// Distributed Discrete Gaussian Mechanism", ICML'21).
struct DistributedDiscreteGaussian {
  double sigma = 1.0;  // of one client, in steps; at least kLocalSigmaMin
  std::uint32_t clients = 1;
  double l2 = 1.0, l1 = 1.0;
  std::uint64_t dimension = 1;
  double sampling = 1.0;
};
inline constexpr double kLocalSigmaMin = 0.5;  // what the bound is proved for

// Skellam noise of total variance `variance` in each coordinate of an integer vector (Agarwal,
// Kairouz and Liu, "The Skellam Mechanism", NeurIPS'21).
struct Skellam {
  double variance = 1.0;
  double l2 = 1.0, l1 = 1.0;
  double sampling = 1.0;
};

// One epoch of DP-FTRL's tree over `steps` rounds, each client in at most one of them, with
// noise_multiplier at every node (Kairouz et al., "Practical and Private (Deep) Learning Without
// Sampling or Shuffling", ICML'21).
struct Tree {
  double noise_multiplier = 1.0;
  std::uint64_t steps = 1;
};

using Mechanism = std::variant<Gaussian, DistributedDiscreteGaussian, Skellam, Tree>;

// kInvalidArgument naming the field: noise above 0 and finite, sampling in (0, 1], counts of 1 or
// more, norms finite and not negative.
Result<void> check_mechanism(const Mechanism& mechanism);

// The variant's index and its fields in order, fixed-width little-endian, and back. kCorrupt unless
// it is exactly one mechanism that passes check_mechanism.
Bytes encode_mechanism(const Mechanism& mechanism);
Result<Mechanism> decode_mechanism(ByteSpan bytes);

// By how much the sum of `clients` discrete Gaussians is off one discrete Gaussian: 10 times the
// sum over k < clients of exp(-2 pi^2 sigma^2 k / (k + 1)).
double discrete_gaussian_gap(std::uint32_t clients, double sigma);

}  // namespace inkling::privacy
