#pragma once
// The smallest noise that keeps a promise, by bracketing and bisection.

#include <functional>

#include "runtime/base/result.h"

namespace inkling::privacy {

// For `holds` that is false below some noise level and true above: the level, from above, to a
// relative accuracy of 1e-9. kInvalidArgument when it does not hold even at 2^40.
Result<double> smallest_noise(const std::function<Result<bool>(double noise)>& holds);

}  // namespace inkling::privacy
