#pragma once
// Schedule: the learning rate over the steps of a training run.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/base/result.h"

namespace inkling {

struct Schedule {
  enum class Shape : std::uint8_t {
    kConstant,
    kCosine,   // from the rate to nothing along half a cosine (Loshchilov & Hutter, ICLR 2017)
    kStep,     // a tenth of the rate after half of the steps, a hundredth after three quarters
    kOneCycle  // up from a twenty-fifth for 30 % of the steps, then down (Smith, arXiv 1803.09820)
  };
  Shape shape = Shape::kCosine;
  double rate = 1e-3;  // the highest
  double warmup_share =
      0;  // of all steps: the rate grows linearly from nothing (not for kOneCycle)
};

// "constant", "cosine", "step" or "one-cycle". kInvalidArgument: anything else.
Result<Schedule::Shape> parse_schedule(std::string_view text);

// The rate of step `step` (from 0) of `steps`.
double rate_at(const Schedule& schedule, std::size_t step, std::size_t steps);

}  // namespace inkling
