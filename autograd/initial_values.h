#pragma once
// Where training starts from.

#include <cstdint>
#include <string_view>

#include "runtime/tensor.h"

namespace inkling {

// He et al., "Delving Deep into Rectifiers", ICCV 2015: normal with variance 2 / fan-in, where the
// last axis of `shape` is the output; zeros for biases (fewer than two axes). A pure function of
// its arguments: `name` separates the variables of one model.
Tensor he_normal(const Shape& shape, std::uint64_t seed, std::string_view name);

}  // namespace inkling
