#include "runtime/base/clock.h"

#include <chrono>

namespace inkling {

namespace {

template <typename C>
std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(C::now().time_since_epoch()).count();
}

}  // namespace

std::int64_t SystemClock::unix_ms() const { return now_ms<std::chrono::system_clock>(); }
std::int64_t SystemClock::steady_ms() const { return now_ms<std::chrono::steady_clock>(); }

}  // namespace inkling
