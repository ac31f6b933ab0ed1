#pragma once
// Renyi differential privacy (Mironov, CSF'17): for each order alpha a bound on the divergence,
// which adds up over mechanisms and is turned into (epsilon, delta) at the end. Pure functions.

#include <array>
#include <span>
#include <vector>

#include "federated/privacy/mechanism.h"

namespace inkling::privacy {

// 1.1 to 10.9 in steps of 0.1, 11 to 63, 128, 256, 512 and 1024.
std::span<const double> rdp_orders();

// The divergence at every order of `count` uses, infinite where no bound is known (fractional
// orders of a subsampled integer mechanism). The Poisson-subsampled Gaussian is that of Mironov,
// Talwar and Zhang (2019), other subsampled mechanisms that of Zhu and Wang (ICML'19), Theorem 6.
std::vector<double> rdp_of(const Mechanism& mechanism, double count = 1);

struct RdpEpsilon {
  double epsilon = 0;
  double order = 0;  // that gave it
};

// The smallest epsilon over the orders (Canonne, Kamath and Steinke 2020, Proposition 12); rdp has
// one value for each of rdp_orders(), delta is in (0, 1).
RdpEpsilon epsilon_of_rdp(std::span<const double> rdp, double delta);

}  // namespace inkling::privacy
