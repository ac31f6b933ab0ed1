#pragma once
// A set of roster indices 0..size-1, as it travels: a bitmap, LSB first, pad bits zero.

#include <cstdint>

#include "runtime/base/bytes.h"

namespace inkling::secagg {

class ClientSet {
 public:
  explicit ClientSet(std::uint32_t size = 0) : size_(size), bits_((size + 7) / 8) {}

  // kCorrupt unless it is exactly ceil(size / 8) bytes with zero pad bits.
  static Result<ClientSet> from_bytes(ByteSpan bytes, std::uint32_t size);

  void insert(std::uint32_t index) { bits_[index / 8] |= bit(index); }
  void erase(std::uint32_t index) { bits_[index / 8] &= static_cast<std::uint8_t>(~bit(index)); }
  bool contains(std::uint32_t index) const {
    return index < size_ && (bits_[index / 8] & bit(index)) != 0;
  }
  std::uint32_t size() const { return size_; }  // of the universe
  std::uint32_t count() const;                  // of the members
  bool subset_of(const ClientSet& other) const;
  const Bytes& bytes() const { return bits_; }
  bool operator==(const ClientSet&) const = default;

 private:
  static std::uint8_t bit(std::uint32_t index) {
    return static_cast<std::uint8_t>(1u << (index % 8));
  }
  std::uint32_t size_;
  Bytes bits_;
};

}  // namespace inkling::secagg
