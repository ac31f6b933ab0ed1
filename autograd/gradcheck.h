#pragma once
// Checks derivative rules against central differences in f64, where the two agree to about 1e-9 of
// the gradient's scale and a wrong rule cannot hide in rounding.

#include <functional>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/graph.h"

namespace inkling {

// Builds y from f64 inputs of the given specs.
using GraphBuilder = std::function<ValueId(Graph&, std::span<const ValueId> inputs)>;

struct GradcheckReport {
  double worst_error = 0;    // max |analytic - numeric| / max(1, |numeric|max of that input)
  std::size_t elements = 0;  // how many partial derivatives were compared
};

// Compares d <y, r> / d input for a random r with central differences, for every element of every
// input. Values are drawn from [low, high]; keep them away from kinks.
Result<GradcheckReport> check_gradients(const GraphBuilder& build, std::span<const Shape> inputs,
                                        Rng& rng, double low = -2.0, double high = 2.0);

}  // namespace inkling
