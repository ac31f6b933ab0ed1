#pragma once
// AES in counter mode (NIST SP 800-38A), fused with the sum that it masks: the keystream is added
// to lanes, or taken from them, before it ever reaches memory.
//
// The code for each kind of CPU is chosen when a stream is made. Every path gives the bits that
// OpenSSL's EVP gives; there is none for CPUs without AES instructions, where MaskedSum uses EVP
// itself. Keys are used in constant time and wiped. A stream belongs to one thread at a time.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "federated/secagg/secret.h"
#include "runtime/base/bytes.h"

namespace inkling::secagg {

enum class Sign : std::uint8_t { kAdd, kSubtract };

// kOpenSsl: no path of ours.
enum class AesPath : std::uint8_t { kOpenSsl, kAesNi, kVaes256, kVaes512 };

// What this CPU can run, slowest first; kOpenSsl is always there.
std::vector<AesPath> aes_paths();

class AesCounter {
 public:
  static constexpr std::size_t kBlockBytes = 16;

  // key has 16 or 32 bytes; counter is the first 128-bit big-endian counter block. path is one of
  // aes_paths() other than kOpenSsl.
  AesCounter(ByteSpan key, std::span<const std::uint8_t, kBlockBytes> counter, AesPath path);

  // lanes +- the next keystream, read as little-endian lanes. All calls but the last cover whole
  // blocks.
  void accumulate(std::span<std::uint16_t> lanes, Sign sign);
  void accumulate(std::span<std::uint32_t> lanes, Sign sign);
  void accumulate(std::span<std::uint64_t> lanes, Sign sign);

  // rounds + 1 round keys; the expansion of a long key writes one more.
  struct Schedule {
    alignas(16) std::array<std::uint8_t, 16 * kBlockBytes> keys{};
    unsigned rounds = 0;
    ~Schedule() { wipe(keys.data(), keys.size()); }
  };

 private:
  template <typename T>
  void run(std::span<T> lanes, Sign sign);

  AesPath path_;
  Schedule schedule_;
  std::uint64_t high_ = 0, low_ = 0;  // the next counter block
};

}  // namespace inkling::secagg
