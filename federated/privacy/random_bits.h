#pragma once
// Random integers and coins for the noise samplers, from a stream cipher that is keyed once from an
// EntropySource. Exact: every draw has the stated probability, no floating point is involved.
// One thread at a time.

#include <array>
#include <cstdint>

#include "federated/secagg/crypto.h"

namespace inkling::privacy {

__extension__ using uint128 = unsigned __int128;

class RandomBits {
 public:
  // Fails only when the source does.
  static Result<RandomBits> create(secagg::EntropySource& entropy);
  RandomBits(RandomBits&&) noexcept = default;
  RandomBits& operator=(RandomBits&&) noexcept = default;
  ~RandomBits();

  std::uint64_t next();
  bool bit();
  // Uniform in [0, bound), bound above 0.
  std::uint64_t below(std::uint64_t bound);
  uint128 below(uint128 bound);

  // True with probability exp(-numerator / denominator), denominator above 0 and at most 2^120
  // (Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS'20,
  // Algorithm 1).
  bool bernoulli_exp(uint128 numerator, uint128 denominator);

 private:
  explicit RandomBits(const secagg::StreamKey& key) : stream_(key) {}
  bool bernoulli_exp_below_one(uint128 numerator, uint128 denominator);

  secagg::Keystream stream_;
  std::array<std::uint64_t, 512> words_{};
  std::size_t used_ = 512;
  std::uint64_t bits_ = 0;  // for bit(), below a marker
};

}  // namespace inkling::privacy
