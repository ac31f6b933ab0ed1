#pragma once
// b-bit ring values as bytes: LSB first, value i in bits [i*b, (i+1)*b), pad bits zero.
//
// Values stand in lanes of 16, 32 or 64 bits, of which the lower b count. Eight values fill exactly
// b bytes, so each width has a loop over groups of eight in which every shift is a constant.

#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"

namespace inkling::secagg {

inline std::uint64_t packed_bytes(std::uint64_t count, unsigned bits) {
  return (count * bits + 7) / 8;
}

// bits is in 8..62, and the lanes are the smallest that hold it (lane_bits of masking.h).
Bytes pack(std::span<const std::uint16_t> lanes, unsigned bits);
Bytes pack(std::span<const std::uint32_t> lanes, unsigned bits);
Bytes pack(std::span<const std::uint64_t> lanes, unsigned bits);

// kCorrupt unless packed is exactly packed_bytes(count, bits) long with zero pad bits.
Result<void> check_packed(ByteSpan packed, std::uint64_t count, unsigned bits);

// lanes += the values of a packed vector that has passed check_packed, modulo 2^lane.
void add_unpacked(ByteSpan packed, unsigned bits, std::span<std::uint16_t> lanes);
void add_unpacked(ByteSpan packed, unsigned bits, std::span<std::uint32_t> lanes);
void add_unpacked(ByteSpan packed, unsigned bits, std::span<std::uint64_t> lanes);

}  // namespace inkling::secagg
