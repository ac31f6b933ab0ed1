#pragma once
// MaskedSum: a vector over Z_{2^b} to which values, packed vectors and masks are added.
//
// Coordinates live in lanes of 16, 32 or 64 bits, the smallest that holds b; masks are keystreams
// read as little-endian lanes. Sums run modulo 2^lane and are reduced to b bits once, on the way
// out, which is the same because 2^b divides 2^lane. Memory is wiped at the end.

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "federated/secagg/aes_ctr.h"
#include "federated/secagg/crypto.h"

namespace inkling::secagg {

struct Mask {
  StreamKey key;
  Sign sign = Sign::kAdd;
};

unsigned lane_bits(unsigned ring_bits);

class MaskedSum {
 public:
  MaskedSum(unsigned ring_bits, std::uint64_t length);  // ring_bits in 8..62; all zero

  // kInvalidArgument unless there are length() values, each below 2^b; nothing is added then.
  Result<void> add_values(std::span<const std::uint64_t> values);
  // kCorrupt unless it is exactly one packed vector; nothing is added then.
  Result<void> add_packed(ByteSpan packed);
  // All masks in one pass over the vector: a block of lanes stays in the L1 cache while every mask
  // is applied to it. path: of AES masks; one of aes_paths().
  void apply_masks(std::span<const Mask> masks, AesPath path = aes_paths().back());
  // apply_masks, then packed(), in that one pass.
  Bytes pack_masked(std::span<const Mask> masks, AesPath path = aes_paths().back());

  std::uint64_t length() const { return length_; }
  Bytes packed() const;
  std::vector<std::uint64_t> values() const;

 private:
  template <typename T>
  using Lanes = std::vector<T, WipingAllocator<T>>;
  unsigned ring_bits_;
  std::uint64_t length_;
  std::variant<Lanes<std::uint16_t>, Lanes<std::uint32_t>, Lanes<std::uint64_t>> lanes_;
};

}  // namespace inkling::secagg
