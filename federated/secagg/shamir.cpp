#include "federated/secagg/shamir.h"

#include <algorithm>
#include <cstring>

namespace inkling::secagg {

namespace {

__extension__ using uint128 = unsigned __int128;

constexpr unsigned kLimbBits = 52;
constexpr std::uint64_t kLimbMask = (std::uint64_t{1} << kLimbBits) - 1;
constexpr std::uint64_t kLastLimbMask = (std::uint64_t{1} << 48) - 1;

// x - p if x >= p, for x < 2p, without a branch.
std::uint64_t fold(std::uint64_t x) {
  const std::uint64_t reduced = x - kFieldPrime;
  const std::uint64_t borrow = std::uint64_t{0} - (reduced >> 63);
  return reduced + (kFieldPrime & borrow);
}

std::uint64_t load_u64(const std::uint8_t* bytes) {
  std::uint64_t v = 0;
  for (unsigned i = 0; i < 8; ++i) v |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  return v;
}

void store_u64(std::uint64_t v, std::uint8_t* bytes) {
  for (unsigned i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(v >> (8 * i));
}

using SecretWords = std::vector<std::uint64_t, WipingAllocator<std::uint64_t>>;

SecretWords split_limbs(const Secret<32>& secret) {
  SecretWords words(5, 0);
  for (std::size_t i = 0; i < 4; ++i) words[i] = load_u64(secret.reveal().data() + 8 * i);
  SecretWords limbs(kShareLimbs);
  for (unsigned i = 0; i < kShareLimbs; ++i) {
    const unsigned bit = i * kLimbBits;
    const uint128 pair = static_cast<uint128>(words[bit / 64 + 1]) << 64 | words[bit / 64];
    limbs[i] = static_cast<std::uint64_t>(pair >> (bit % 64)) & kLimbMask;
  }
  return limbs;
}

// Uniform below p: 61 random bits, drawn again in the one case in 2^61 that they are p.
Result<SecretWords> random_elements(std::size_t count, EntropySource& entropy) {
  SecretBytes bytes(8 * count);
  INK_CHECK_OK(entropy.fill(bytes));
  SecretWords out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = load_u64(bytes.data() + 8 * i) & kFieldPrime;
    while (out[i] == kFieldPrime) {
      INK_CHECK_OK(entropy.fill(std::span(bytes).first(8)));
      out[i] = load_u64(bytes.data()) & kFieldPrime;
    }
  }
  return out;
}

}  // namespace

std::uint64_t field_add(std::uint64_t a, std::uint64_t b) { return fold(a + b); }

std::uint64_t field_sub(std::uint64_t a, std::uint64_t b) { return fold(a + kFieldPrime - b); }

std::uint64_t field_mul(std::uint64_t a, std::uint64_t b) {
  const uint128 product = static_cast<uint128>(a) * b;
  const auto low = static_cast<std::uint64_t>(product) & kFieldPrime;
  const auto high = static_cast<std::uint64_t>(product >> 61);
  return fold(low + high);
}

std::uint64_t field_inverse(std::uint64_t a) {
  std::uint64_t power = a, result = 1;
  for (std::uint64_t exponent = kFieldPrime - 2; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = field_mul(result, power);
    power = field_mul(power, power);
  }
  return result;
}

std::uint64_t field_evaluate(std::span<const std::uint64_t> coefficients, std::uint64_t x) {
  std::uint64_t value = 0;
  for (std::size_t i = coefficients.size(); i > 0; --i) {
    value = field_add(field_mul(value, x), coefficients[i - 1]);
  }
  return value;
}

Result<std::vector<Secret<kShareBytes>>> split_secret(const Secret<32>& secret,
                                                      std::uint32_t holders,
                                                      std::uint32_t threshold,
                                                      EntropySource& entropy) {
  if (threshold < 1 || threshold > holders || holders > kHoldersMax) {
    return fail(ErrorCode::kInvalidArgument, "split_secret: threshold ", threshold, " of ", holders,
                " holders, expected 1 <= threshold <= holders <= ", kHoldersMax);
  }
  const SecretWords limbs = split_limbs(secret);
  std::vector<Secret<kShareBytes>> shares(holders);
  for (std::size_t limb = 0; limb < kShareLimbs; ++limb) {
    INK_TRY(SecretWords coefficients, random_elements(threshold, entropy));
    coefficients[0] = limbs[limb];
    for (std::uint32_t holder = 0; holder < holders; ++holder) {
      store_u64(field_evaluate(coefficients, holder + 1),
                shares[holder].writable().data() + 8 * limb);
    }
  }
  return shares;
}

Result<void> check_share(std::span<const std::uint8_t, kShareBytes> share) {
  std::uint64_t excess = 0;  // gathered without a branch: which limb was wrong stays secret
  for (std::size_t i = 0; i < kShareLimbs; ++i) {
    excess |= ~((load_u64(share.data() + 8 * i) - kFieldPrime) >> 63) & 1;
    excess |= load_u64(share.data() + 8 * i) >> 61;
  }
  if (excess != 0) return fail(ErrorCode::kCorrupt, "share: a limb is not below 2^61 - 1");
  return {};
}

Result<std::vector<std::uint64_t>> lagrange_weights(std::span<const std::uint32_t> xs,
                                                    std::uint32_t at) {
  for (const std::uint32_t x : xs) {
    if (x < 1 || x > kHoldersMax) {
      return fail(ErrorCode::kInvalidArgument, "lagrange_weights: x ", x, ", expected 1..",
                  kHoldersMax);
    }
  }
  std::vector<std::uint64_t> weights(xs.size());
  for (std::size_t i = 0; i < xs.size(); ++i) {
    std::uint64_t numerator = 1, denominator = 1;
    for (std::size_t j = 0; j < xs.size(); ++j) {
      if (j == i) continue;
      numerator = field_mul(numerator, field_sub(at, xs[j]));
      denominator = field_mul(denominator, field_sub(xs[i], xs[j]));
    }
    if (denominator == 0) {
      return fail(ErrorCode::kInvalidArgument, "lagrange_weights: x ", xs[i], " appears twice");
    }
    weights[i] = field_mul(numerator, field_inverse(denominator));
  }
  return weights;
}

Secret<kShareBytes> interpolate(
    std::span<const std::uint64_t> weights,
    std::span<const std::span<const std::uint8_t, kShareBytes>> shares) {
  INK_INVARIANT(weights.size() == shares.size());
  Secret<kShareBytes> value;
  for (std::size_t limb = 0; limb < kShareLimbs; ++limb) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      sum = field_add(sum, field_mul(weights[i], load_u64(shares[i].data() + 8 * limb)));
    }
    store_u64(sum, value.writable().data() + 8 * limb);
  }
  return value;
}

Result<Secret<32>> join_limbs(const Secret<kShareBytes>& value_at_zero) {
  SecretWords limbs(kShareLimbs);
  std::uint64_t excess = 0;
  for (std::size_t i = 0; i < kShareLimbs; ++i) {
    limbs[i] = load_u64(value_at_zero.reveal().data() + 8 * i);
    excess |= limbs[i] & ~(i + 1 < kShareLimbs ? kLimbMask : kLastLimbMask);
  }
  if (excess != 0) {
    return fail(ErrorCode::kVerification, "shares: they do not join to a 32-byte secret");
  }
  SecretWords words(5, 0);
  for (unsigned i = 0; i < kShareLimbs; ++i) {
    const unsigned bit = i * kLimbBits;
    const uint128 shifted = static_cast<uint128>(limbs[i]) << (bit % 64);
    words[bit / 64] |= static_cast<std::uint64_t>(shifted);
    words[bit / 64 + 1] |= static_cast<std::uint64_t>(shifted >> 64);
  }
  Secret<32> secret;
  for (std::size_t i = 0; i < 4; ++i) store_u64(words[i], secret.writable().data() + 8 * i);
  return secret;
}

}  // namespace inkling::secagg
