#include "federated/privacy/gaussian_noise.h"

#include <cmath>
#include <numbers>

namespace inkling::privacy {

double uniform(RandomBits& bits) { return static_cast<double>((bits.next() >> 11) + 1) * 0x1p-53; }

void add_gaussian_noise(std::span<float> values, double sigma, RandomBits& bits) {
  for (std::size_t i = 0; i < values.size(); i += 2) {
    const double radius = sigma * std::sqrt(-2 * std::log(uniform(bits)));
    const double angle = 2 * std::numbers::pi * uniform(bits);
    values[i] = static_cast<float>(values[i] + radius * std::cos(angle));
    if (i + 1 < values.size()) {
      values[i + 1] = static_cast<float>(values[i + 1] + radius * std::sin(angle));
    }
  }
}

}  // namespace inkling::privacy
