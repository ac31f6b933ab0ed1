#include "autograd/schedule.h"

#include <cmath>
#include <numbers>

namespace inkling {

namespace {

// 1 at 0, 0 at 1.
double cosine_fall(double at) { return 0.5 * (1 + std::cos(std::numbers::pi * at)); }

double share_of_rate(Schedule::Shape shape, double at) {
  constexpr double kRise = 0.3, kStart = 1.0 / 25;
  switch (shape) {
    case Schedule::Shape::kConstant:
      return 1;
    case Schedule::Shape::kCosine:
      return cosine_fall(at);
    case Schedule::Shape::kStep:
      return at < 0.5 ? 1 : at < 0.75 ? 0.1 : 0.01;
    case Schedule::Shape::kOneCycle:
      if (at < kRise) return kStart + (1 - kStart) * cosine_fall(1 - at / kRise);
      return cosine_fall((at - kRise) / (1 - kRise));
  }
  return 1;
}

}  // namespace

Result<Schedule::Shape> parse_schedule(std::string_view text) {
  if (text == "constant") return Schedule::Shape::kConstant;
  if (text == "cosine") return Schedule::Shape::kCosine;
  if (text == "step") return Schedule::Shape::kStep;
  if (text == "one-cycle") return Schedule::Shape::kOneCycle;
  return fail(ErrorCode::kInvalidArgument, "schedule: got '", text,
              "', expected constant, cosine, step or one-cycle");
}

double rate_at(const Schedule& schedule, std::size_t step, std::size_t steps) {
  const double at = static_cast<double>(step) / static_cast<double>(steps);
  if (schedule.shape == Schedule::Shape::kOneCycle)
    return schedule.rate * share_of_rate(schedule.shape, at);
  const double warm = schedule.warmup_share;
  const double ramp =
      at < warm ? static_cast<double>(step + 1) / (warm * static_cast<double>(steps)) : 1;
  const double after = at < warm ? 0 : (at - warm) / (1 - warm);
  return schedule.rate * std::min(ramp, 1.0) * share_of_rate(schedule.shape, after);
}

}  // namespace inkling
