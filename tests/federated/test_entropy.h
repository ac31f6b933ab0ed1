#pragma once
// Reproducible "randomness" for tests. A type of the tests alone: no library code can make one.

#include <cstdint>

#include "federated/secagg/entropy.h"
#include "runtime/base/rng.h"

namespace inkling::secagg {

class TestEntropy final : public EntropySource {
 public:
  explicit TestEntropy(std::uint64_t seed, std::uint64_t index = 0)
      : rng_(seed, "test-entropy", index) {}
  Result<void> fill(std::span<std::uint8_t> out) override {
    if (fails_) return fail(ErrorCode::kIo, "entropy: told to fail");
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(rng_.next_u32());
    return {};
  }
  void fail_from_now_on() { fails_ = true; }

 private:
  Rng rng_;
  bool fails_ = false;
};

}  // namespace inkling::secagg
