#pragma once
// The box in which one client hands another its two shares: 80 bytes (the self-mask seed's share,
// then the pair key's) under a single-use AES-256-GCM key, 96 bytes sealed.

#include <cstdint>

#include "federated/secagg/messages.h"

namespace inkling::secagg {

using SharePair = Secret<kSharePairBytes>;

// Where a box belongs: everything that its key and associated data bind.
struct BoxAddress {
  Hash ctx{};
  Hash roster_hash{};
  std::uint32_t from = 0;
  std::uint32_t to = 0;
};

SharePair join_shares(const Secret<kShareBytes>& self_mask, const Secret<kShareBytes>& pair_key);
std::span<const std::uint8_t, kShareBytes> share_of_kind(const SharePair& pair, ShareKind kind);

// shared is X25519(c_from, c_to).
SealedShare seal_share_pair(const Secret<32>& shared, const BoxAddress& address,
                            const SharePair& pair);
// kVerification when the box was made for another address or key, kCorrupt for an invalid share.
Result<SharePair> open_share_pair(const Secret<32>& shared, const BoxAddress& address,
                                  const SealedShare& sealed);

}  // namespace inkling::secagg
