#pragma once
// Draws for stochastic rounding alone, from a seed, so that an experiment is reproducible. It is an
// EntropySource by type: give it to encode_update() only, never where keys are made.

#include "federated/secagg/entropy.h"
#include "runtime/base/rng.h"

namespace inkling::federated {

class SeededRounding final : public secagg::EntropySource {
 public:
  // index: who rounds; two with one index draw alike.
  SeededRounding(std::uint64_t seed, std::uint64_t index) : rng_(seed, "rounding", index) {}
  Result<void> fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(rng_.next_u32());
    return {};
  }

 private:
  Rng rng_;
};

}  // namespace inkling::federated
