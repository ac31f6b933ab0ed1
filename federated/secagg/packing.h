#pragma once
// b-bit ring values as bytes: LSB first, value i in bits [i*b, (i+1)*b), pad bits zero.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/bytes.h"

namespace inkling::secagg {

inline std::uint64_t packed_bytes(std::uint64_t count, unsigned bits) {
  return (count * bits + 7) / 8;
}

// Packs exactly count values, bits of each; the bits above are ignored.
class BitPacker {
 public:
  BitPacker(std::uint64_t count, unsigned bits) : bits_(bits), bytes_(packed_bytes(count, bits)) {}
  void push(std::uint64_t value);
  Bytes finish();

 private:
  unsigned bits_;
  unsigned fill_ = 0;
  std::uint64_t pending_ = 0;
  std::size_t size_ = 0;
  Bytes bytes_;
};

// Reads exactly count values.
class BitReader {
 public:
  // kCorrupt unless bytes is exactly packed_bytes(count, bits) long with zero pad bits.
  static Result<BitReader> open(ByteSpan bytes, std::uint64_t count, unsigned bits);
  std::uint64_t next();

 private:
  BitReader(ByteSpan bytes, unsigned bits) : bytes_(bytes), bits_(bits) {}
  ByteSpan bytes_;
  unsigned bits_;
  std::uint64_t bit_ = 0;
};

}  // namespace inkling::secagg
