#pragma once
// The Gaussian mechanism used once, exactly (Balle and Wang, "Improving the Gaussian Mechanism for
// Differential Privacy", ICML'18).

#include "runtime/base/result.h"

namespace inkling::privacy {

// delta of noise multiplier `sigma` at epsilon >= 0.
double gaussian_delta(double sigma, double epsilon);

// The smallest noise multiplier that is (epsilon, delta)-private. kInvalidArgument unless epsilon
// is above 0 and finite, and delta is in (0, 1).
Result<double> gaussian_sigma(double epsilon, double delta);

}  // namespace inkling::privacy
