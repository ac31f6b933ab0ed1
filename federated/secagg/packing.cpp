#include "federated/secagg/packing.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace inkling::secagg {

static_assert(std::endian::native == std::endian::little, "words are stored as they are");

void BitPacker::push(std::uint64_t value) {
  value &= (std::uint64_t{1} << bits_) - 1;
  pending_ |= value << fill_;
  fill_ += bits_;
  if (fill_ < 64) return;
  std::memcpy(bytes_.data() + size_, &pending_, 8);
  size_ += 8;
  fill_ -= 64;
  pending_ = fill_ == 0 ? 0 : value >> (bits_ - fill_);
}

Bytes BitPacker::finish() {
  for (; fill_ > 0; fill_ -= std::min(fill_, 8u)) {
    bytes_[size_++] = static_cast<std::uint8_t>(pending_);
    pending_ >>= 8;
  }
  INK_INVARIANT(size_ == bytes_.size());
  return std::move(bytes_);
}

Result<BitReader> BitReader::open(ByteSpan bytes, std::uint64_t count, unsigned bits) {
  if (bytes.size() != packed_bytes(count, bits)) {
    return fail(ErrorCode::kCorrupt, "packed vector: ", bytes.size(), " bytes, expected ",
                packed_bytes(count, bits));
  }
  const unsigned used = static_cast<unsigned>(count * bits % 8);
  if (used != 0 && bytes.back() >> used != 0) {
    return fail(ErrorCode::kCorrupt, "packed vector: a pad bit is set");
  }
  return BitReader(bytes, bits);
}

std::uint64_t BitReader::next() {
  const std::size_t first = bit_ / 8;
  const unsigned shift = bit_ % 8;
  std::uint64_t word = 0;
  if (first + 8 <= bytes_.size()) {
    std::memcpy(&word, bytes_.data() + first, 8);
  } else {
    std::memcpy(&word, bytes_.data() + first, bytes_.size() - first);
  }
  std::uint64_t value = word >> shift;
  if (shift + bits_ > 64) value |= std::uint64_t{bytes_[first + 8]} << (64 - shift);
  bit_ += bits_;
  return value & ((std::uint64_t{1} << bits_) - 1);
}

}  // namespace inkling::secagg
