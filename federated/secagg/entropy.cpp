#include "federated/secagg/entropy.h"

#include <openssl/rand.h>

#include <algorithm>

namespace inkling::secagg {

Result<void> SystemEntropy::fill(std::span<std::uint8_t> out) {
  constexpr std::size_t kBytesPerCall = std::size_t{1} << 20;
  while (!out.empty()) {
    const std::size_t count = std::min(out.size(), kBytesPerCall);
    if (RAND_priv_bytes(out.data(), static_cast<int>(count)) != 1) {
      return fail(ErrorCode::kIo, "entropy: the system generator gave no bytes, wanted ", count);
    }
    out = out.subspan(count);
  }
  return {};
}

}  // namespace inkling::secagg
