#pragma once
// Gaussian noise in f64, for a server that is trusted with the sum (central privacy). The low bits
// of such noise are not uniform (Mironov, CCS'12): publish the noisy sum rounded, as f32 does.

#include <span>

#include "federated/privacy/random_bits.h"

namespace inkling::privacy {

// Uniform in (0, 1], 53 bits.
double uniform(RandomBits& bits);

// values += N(0, sigma^2), by Box and Muller; sigma >= 0.
void add_gaussian_noise(std::span<float> values, double sigma, RandomBits& bits);

}  // namespace inkling::privacy
