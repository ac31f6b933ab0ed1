#include "federated/privacy/bisection.h"

namespace inkling::privacy {

Result<double> smallest_noise(const std::function<Result<bool>(double noise)>& holds) {
  constexpr double kLargest = 0x1p40, kSmallest = 0x1p-20, kAccuracy = 1e-9;
  double high = 1;
  for (;;) {
    INK_TRY(const bool enough, holds(high));
    if (enough) break;
    if (high >= kLargest) {
      return fail(ErrorCode::kInvalidArgument, "calibration: no noise up to ", kLargest,
                  " keeps the promise");
    }
    high *= 2;
  }
  double low = high / 2;
  for (;;) {
    if (low < kSmallest) return high;
    INK_TRY(const bool enough, holds(low));
    if (!enough) break;
    high = low;
    low /= 2;
  }
  while (high - low > kAccuracy * high) {
    const double middle = low + (high - low) / 2;
    INK_TRY(const bool enough, holds(middle));
    (enough ? high : low) = middle;
  }
  return high;
}

}  // namespace inkling::privacy
