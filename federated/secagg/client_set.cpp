#include "federated/secagg/client_set.h"

#include <bit>

namespace inkling::secagg {

Result<ClientSet> ClientSet::from_bytes(ByteSpan bytes, std::uint32_t size) {
  ClientSet set(size);
  if (bytes.size() != set.bits_.size()) {
    return fail(ErrorCode::kCorrupt, "client bitmap: ", bytes.size(), " bytes for ", size,
                " clients, expected ", set.bits_.size());
  }
  if (size % 8 != 0 && bytes.back() >> (size % 8) != 0) {
    return fail(ErrorCode::kCorrupt, "client bitmap: a bit beyond client ", size, " is set");
  }
  set.bits_.assign(bytes.begin(), bytes.end());
  return set;
}

std::uint32_t ClientSet::count() const {
  std::uint32_t total = 0;
  for (const std::uint8_t byte : bits_) total += static_cast<std::uint32_t>(std::popcount(byte));
  return total;
}

bool ClientSet::subset_of(const ClientSet& other) const {
  if (size_ != other.size_) return false;
  for (std::size_t i = 0; i < bits_.size(); ++i) {
    if ((bits_[i] & ~other.bits_[i]) != 0) return false;
  }
  return true;
}

}  // namespace inkling::secagg
