#pragma once
// Where keys come from. The machines take an EntropySource, so a test can own the randomness;
// simulation generators (inkling::Rng) are another type and cannot be passed here.

#include <cstdint>
#include <span>

#include "runtime/base/result.h"

namespace inkling::secagg {

class EntropySource {
 public:
  virtual ~EntropySource() = default;
  // Fills out with unpredictable bytes. On failure out must not be used.
  virtual Result<void> fill(std::span<std::uint8_t> out) = 0;
};

// OpenSSL's private DRBG (RAND_priv_bytes). Any thread.
class SystemEntropy final : public EntropySource {
 public:
  Result<void> fill(std::span<std::uint8_t> out) override;
};

}  // namespace inkling::secagg
