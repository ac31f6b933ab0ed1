#pragma once
// Byte strings, hexadecimal, and a bounds-checked little-endian reader and writer.
// Readers treat their bytes as hostile: a short read latches and every later read returns zero.

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string to_hex(ByteSpan bytes);            // lower case
Result<Bytes> from_hex(std::string_view hex);  // kInvalidArgument: odd length or another digit

// Appends fixed-width little-endian values to a byte string.
class ByteWriter {
 public:
  void u8(std::uint8_t v) { bytes_.push_back(v); }
  void u32(std::uint32_t v) { integer(v); }
  void u64(std::uint64_t v) { integer(v); }
  void raw(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view text) { raw(as_bytes(text)); }  // no length, no terminator

  const Bytes& bytes() const { return bytes_; }
  Bytes take() { return std::move(bytes_); }

 private:
  template <typename T>
  void integer(T v) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
      bytes_.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
  }
  Bytes bytes_;
};

// Reads what ByteWriter wrote. Check finished() at the end: it is false after a short read and
// while trailing bytes remain.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  std::uint8_t u8() { return integer<std::uint8_t>(); }
  std::uint32_t u32() { return integer<std::uint32_t>(); }
  std::uint64_t u64() { return integer<std::uint64_t>(); }
  ByteSpan raw(std::size_t count);  // empty after a short read

  bool ok() const { return ok_; }
  bool finished() const { return ok_ && bytes_.empty(); }
  std::size_t remaining() const { return bytes_.size(); }

 private:
  template <typename T>
  T integer() {
    const ByteSpan b = raw(sizeof(T));
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < b.size(); ++i) v |= static_cast<std::uint64_t>(b[i]) << (8 * i);
    return static_cast<T>(v);
  }
  ByteSpan bytes_;
  bool ok_ = true;
};

}  // namespace inkling
