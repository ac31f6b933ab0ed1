#pragma once
// SHA-256 (FIPS 180-4), incremental. Here rather than from OpenSSL because an app that embeds
// reranking checks model digests and links no crypto library. It hashes public bytes (models,
// files): it makes no constant-time claim beyond having no secret-dependent branches or lookups.

#include <array>
#include <cstdint>

#include "runtime/base/bytes.h"

namespace inkling {

using Sha256Digest = std::array<std::uint8_t, 32>;

class Sha256 {
 public:
  Sha256();
  Sha256& update(ByteSpan bytes);
  Sha256Digest finish();  // once; the object is spent afterwards

 private:
  void compress(const std::uint8_t* block);
  std::array<std::uint32_t, 8> state_;
  std::array<std::uint8_t, 64> buffer_{};
  std::size_t buffered_ = 0;
  std::uint64_t length_ = 0;
};

inline Sha256Digest sha256(ByteSpan bytes) { return Sha256().update(bytes).finish(); }

}  // namespace inkling
