#pragma once
// Secret bytes: Secret<N> for keys and seeds, SecretBytes for records that contain them.
//
// A Secret is moved, never copied by accident; its memory is wiped when it dies or is moved from;
// it has no stream operator and compares in constant time. SecretBytes is a vector whose every
// allocation, grown-out-of ones included, is wiped before it is freed.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace inkling::secagg {

// Overwrites with zeros in a way that the optimiser must keep (OPENSSL_cleanse).
void wipe(void* memory, std::size_t size) noexcept;

// Compares in time that depends on the sizes alone; false when the sizes differ.
bool equal_in_constant_time(std::span<const std::uint8_t> a,
                            std::span<const std::uint8_t> b) noexcept;

template <std::size_t N>
class Secret {
 public:
  Secret() = default;  // all zero
  ~Secret() { wipe(bytes_.data(), N); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { wipe(other.bytes_.data(), N); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      wipe(other.bytes_.data(), N);
    }
    return *this;
  }

  static Secret copy_of(std::span<const std::uint8_t, N> bytes) {
    Secret secret;
    std::copy(bytes.begin(), bytes.end(), secret.bytes_.begin());
    return secret;
  }

  std::span<const std::uint8_t, N> reveal() const { return bytes_; }
  std::span<std::uint8_t, N> writable() { return bytes_; }
  bool equals(const Secret& other) const { return equal_in_constant_time(bytes_, other.bytes_); }

 private:
  std::array<std::uint8_t, N> bytes_{};
};

template <typename T>
struct WipingAllocator {
  using value_type = T;
  WipingAllocator() = default;
  template <typename U>
  WipingAllocator(const WipingAllocator<U>&) noexcept {}  // NOLINT: the allocator interface
  T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, std::size_t count) noexcept {
    wipe(memory, count * sizeof(T));
    std::allocator<T>().deallocate(memory, count);
  }
  template <typename U>
  bool operator==(const WipingAllocator<U>&) const noexcept {
    return true;
  }
};

using SecretBytes = std::vector<std::uint8_t, WipingAllocator<std::uint8_t>>;

}  // namespace inkling::secagg
