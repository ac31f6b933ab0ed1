#include "autograd/initial_values.h"

#include <cmath>

#include "runtime/base/rng.h"

namespace inkling {

Tensor he_normal(const Shape& shape, std::uint64_t seed, std::string_view name) {
  Tensor tensor = Tensor::zeros({DType::kF32, shape});
  if (shape.rank() < 2) return tensor;
  const double deviation =
      std::sqrt(2.0 * static_cast<double>(shape.back()) / static_cast<double>(shape.elements()));
  Rng rng(seed, name);
  for (float& v : tensor.mutable_data<float>()) v = static_cast<float>(deviation * rng.normal());
  return tensor;
}

}  // namespace inkling
