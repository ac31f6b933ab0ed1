#pragma once
// Shamir's secret sharing over GF(p), p = 2^61 - 1 ("How to Share a Secret", CACM 1979).
//
// A 32-byte secret is cut into five little-endian limbs of 52 bits (the last has 48); each is the
// constant term of a random polynomial of degree threshold - 1. A share is the five values at one
// non-zero x, encoded as five u64 little-endian: 40 bytes. Field operations have no
// secret-dependent branch or index; x coordinates are public.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "federated/secagg/entropy.h"
#include "federated/secagg/secret.h"
#include "runtime/base/bytes.h"

namespace inkling::secagg {

inline constexpr std::uint64_t kFieldPrime = (std::uint64_t{1} << 61) - 1;
inline constexpr std::size_t kShareLimbs = 5;
inline constexpr std::size_t kShareBytes = 8 * kShareLimbs;
inline constexpr std::uint32_t kHoldersMax = 1 << 16;

using ShareBytes = std::array<std::uint8_t, kShareBytes>;

// Field arithmetic on canonical elements, i.e. values below kFieldPrime.
std::uint64_t field_add(std::uint64_t a, std::uint64_t b);
std::uint64_t field_sub(std::uint64_t a, std::uint64_t b);
std::uint64_t field_mul(std::uint64_t a, std::uint64_t b);
std::uint64_t field_inverse(std::uint64_t a);  // of 0: 0

// A polynomial's value, constant term first.
std::uint64_t field_evaluate(std::span<const std::uint64_t> coefficients, std::uint64_t x);

// Holder i (0-based) gets the share at x = i + 1. kInvalidArgument unless
// 1 <= threshold <= holders <= kHoldersMax.
Result<std::vector<Secret<kShareBytes>>> split_secret(const Secret<32>& secret,
                                                      std::uint32_t holders,
                                                      std::uint32_t threshold,
                                                      EntropySource& entropy);

// kCorrupt when a limb is not below kFieldPrime.
Result<void> check_share(std::span<const std::uint8_t, kShareBytes> share);

// Weights w_i with f(at) = sum w_i f(x_i) for every polynomial of degree below xs.size(). Make them
// once per set of responders. kInvalidArgument for a repeated x, or one outside [1, kHoldersMax].
Result<std::vector<std::uint64_t>> lagrange_weights(std::span<const std::uint32_t> xs,
                                                    std::uint32_t at = 0);

// The value at `at` of the polynomial through the shares, as a share; shares must have passed
// check_share and be as many as the weights.
Secret<kShareBytes> interpolate(std::span<const std::uint64_t> weights,
                                std::span<const std::span<const std::uint8_t, kShareBytes>> shares);

// The secret, from the interpolated value at 0. kVerification when a limb exceeds its width: then
// at least one share was wrong.
Result<Secret<32>> join_limbs(const Secret<kShareBytes>& value_at_zero);

}  // namespace inkling::secagg
