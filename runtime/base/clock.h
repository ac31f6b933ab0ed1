#pragma once
// Time as an argument: code that needs the time takes a Clock, so tests and the simulator own it.

#include <cstdint>

namespace inkling {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t unix_ms() const = 0;    // wall clock; may jump; for records and expiry
  virtual std::int64_t steady_ms() const = 0;  // never goes back; for deadlines and durations
};

// The machine's clocks. Stateless; any thread.
class SystemClock final : public Clock {
 public:
  std::int64_t unix_ms() const override;
  std::int64_t steady_ms() const override;
};

// A clock that stands still until told to move. One thread.
class VirtualClock final : public Clock {
 public:
  explicit VirtualClock(std::int64_t start_ms = 0) : now_ms_(start_ms) {}
  std::int64_t unix_ms() const override { return now_ms_; }
  std::int64_t steady_ms() const override { return now_ms_; }
  void advance(std::int64_t ms) { now_ms_ += ms; }

 private:
  std::int64_t now_ms_;
};

}  // namespace inkling
