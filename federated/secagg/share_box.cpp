#include "federated/secagg/share_box.h"

#include <algorithm>

#include "federated/secagg/schedule.h"

namespace inkling::secagg {

SharePair join_shares(const Secret<kShareBytes>& self_mask, const Secret<kShareBytes>& pair_key) {
  SharePair pair;
  std::copy_n(self_mask.reveal().begin(), kShareBytes, pair.writable().begin());
  std::copy_n(pair_key.reveal().begin(), kShareBytes, pair.writable().begin() + kShareBytes);
  return pair;
}

std::span<const std::uint8_t, kShareBytes> share_of_kind(const SharePair& pair, ShareKind kind) {
  if (kind == ShareKind::kSelfMask) return pair.reveal().first<kShareBytes>();
  return pair.reveal().last<kShareBytes>();
}

SealedShare seal_share_pair(const Secret<32>& shared, const BoxAddress& address,
                            const SharePair& pair) {
  const Secret<32> key = share_key(shared, address.ctx, address.from, address.to);
  const Bytes aad = share_aad(address.ctx, address.roster_hash, address.from, address.to);
  const Bytes box = seal_once(key, aad, pair.reveal());
  SealedShare sealed{.peer = address.to, .box = {}};
  std::copy(box.begin(), box.end(), sealed.box.begin());
  return sealed;
}

Result<SharePair> open_share_pair(const Secret<32>& shared, const BoxAddress& address,
                                  const SealedShare& sealed) {
  const Secret<32> key = share_key(shared, address.ctx, address.from, address.to);
  const Bytes aad = share_aad(address.ctx, address.roster_hash, address.from, address.to);
  INK_TRY(const SecretBytes plain, open_once(key, aad, sealed.box));
  SharePair pair = SharePair::copy_of(std::span(plain).first<kSharePairBytes>());
  INK_CHECK_OK(check_share(share_of_kind(pair, ShareKind::kSelfMask)));
  INK_CHECK_OK(check_share(share_of_kind(pair, ShareKind::kPairKey)));
  return pair;
}

}  // namespace inkling::secagg
