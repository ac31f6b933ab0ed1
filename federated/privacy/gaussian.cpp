#include "federated/privacy/gaussian.h"

#include <cmath>
#include <numbers>

#include "federated/privacy/bisection.h"

namespace inkling::privacy {

double gaussian_delta(double sigma, double epsilon) {
  const auto below = [](double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); };
  const double a = 0.5 / sigma, b = epsilon * sigma;
  return below(a - b) - std::exp(epsilon) * below(-a - b);
}

Result<double> gaussian_sigma(double epsilon, double delta) {
  if (!(epsilon > 0) || !std::isfinite(epsilon) || !(delta > 0 && delta < 1)) {
    return fail(ErrorCode::kInvalidArgument, "gaussian: epsilon ", epsilon, " and delta ", delta,
                ", expected epsilon above 0 and delta in (0, 1)");
  }
  return smallest_noise(
      [&](double sigma) -> Result<bool> { return gaussian_delta(sigma, epsilon) <= delta; });
}

}  // namespace inkling::privacy
