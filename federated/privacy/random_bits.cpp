#include "federated/privacy/random_bits.h"

#include <bit>

namespace inkling::privacy {

Result<RandomBits> RandomBits::create(secagg::EntropySource& entropy) {
  secagg::StreamKey key;
  INK_CHECK_OK(entropy.fill(key.material.writable()));
  return RandomBits(key);
}

RandomBits::~RandomBits() { secagg::wipe(words_.data(), sizeof(words_)); }

std::uint64_t RandomBits::next() {
  if (used_ == words_.size()) {
    stream_.fill({reinterpret_cast<std::uint8_t*>(words_.data()), sizeof(words_)});
    used_ = 0;
  }
  return words_[used_++];
}

bool RandomBits::bit() {
  if (bits_ <= 1) bits_ = next() | std::uint64_t{1} << 63;  // 63 bits and the marker
  const bool result = (bits_ & 1) != 0;
  bits_ >>= 1;
  return result;
}

std::uint64_t RandomBits::below(std::uint64_t bound) {
  const int unused = std::countl_zero((bound - 1) | 1);
  for (;;) {
    const std::uint64_t draw = next() >> unused;
    if (draw < bound) return draw;
  }
}

uint128 RandomBits::below(uint128 bound) {
  const auto high = static_cast<std::uint64_t>((bound - 1) >> 64);
  if (high == 0 && bound <= ~std::uint64_t{0}) return below(static_cast<std::uint64_t>(bound));
  const int unused = std::countl_zero(high | 1);
  for (;;) {
    const uint128 draw = uint128{next() >> unused} << 64 | next();
    if (draw < bound) return draw;
  }
}

bool RandomBits::bernoulli_exp_below_one(uint128 numerator, uint128 denominator) {
  std::uint64_t k = 1;
  while (below(denominator * k) < numerator) ++k;
  return k % 2 == 1;
}

bool RandomBits::bernoulli_exp(uint128 numerator, uint128 denominator) {
  while (numerator > denominator) {
    if (!bernoulli_exp_below_one(1, 1)) return false;
    numerator -= denominator;
  }
  return bernoulli_exp_below_one(numerator, denominator);
}

}  // namespace inkling::privacy
