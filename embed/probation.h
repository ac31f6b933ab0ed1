#pragma once
// Probation: whether what is new on a device, a model or a patch, may stay, when the process does
// not live to tell. Until it has ranked once, each use of it is written down before it begins; uses
// that never ended count as crashes, and at the next start too many of them withdraw it.
//
// Kept in the key-value store, so it outlives the process. After the first ranking it costs
// nothing.

#include "storage/key_value.h"

namespace inkling {

// A process may also be killed from outside, so one is forgiven.
inline constexpr std::uint64_t kCrashesMax = 2;

class Probation {
 public:
  explicit Probation(KeyValue& store) : store_(&store) {}

  Result<void> load();   // what the processes before left
  Result<void> begin();  // something new is about to be used
  bool running() const { return crashes_.has_value(); }
  bool failed() const { return running() && *crashes_ >= kCrashesMax; }

  // Around a use. Both do nothing when nothing is on probation.
  Result<void> enter();
  Result<void> leave(bool proven);

 private:
  Result<void> write(std::uint64_t crashes);
  KeyValue* store_;
  std::optional<std::uint64_t> crashes_;  // so far; none: nothing is on probation
};

}  // namespace inkling
