#include "federated/secagg/client_work.h"

#include "federated/secagg/schedule.h"

namespace inkling::secagg {

Result<Dealt> deal_shares(const Seat& seat, const AgreementKey& c, const Secret<32>& seed,
                          const Secret<32>& s_secret, EntropySource& entropy) {
  const std::vector<std::uint32_t> holders = seat.roster.graph().holders(seat.index);
  const auto count = static_cast<std::uint32_t>(holders.size());
  const std::uint32_t threshold = seat.roster.threshold();
  INK_TRY(const auto seed_shares, split_secret(seed, count, threshold, entropy));
  INK_TRY(const auto key_shares, split_secret(s_secret, count, threshold, entropy));
  Dealt dealt;
  for (std::uint32_t i = 0; i < count; ++i) {
    SharePair pair = join_shares(seed_shares[i], key_shares[i]);
    if (holders[i] == seat.index) {
      dealt.own = std::move(pair);
      continue;
    }
    INK_TRY(const Secret<32> shared, c.agree(seat.roster.member(holders[i]).c_pk));
    const BoxAddress address{
        .ctx = seat.ctx, .roster_hash = seat.roster.hash(), .from = seat.index, .to = holders[i]};
    dealt.boxes.push_back(seal_share_pair(shared, address, pair));
  }
  return dealt;
}

Result<std::vector<Mask>> masks_of(const Seat& seat, Suite suite, const ClientSet& present,
                                   const AgreementKey& s, const Secret<32>& seed) {
  std::vector<Mask> masks;
  masks.push_back({.key = self_mask_key(suite, seed, seat.ctx, seat.index), .sign = Sign::kAdd});
  for (const std::uint32_t peer : seat.roster.graph().neighbours(seat.index)) {
    if (!present.contains(peer)) continue;
    INK_TRY(const Secret<32> shared, s.agree(seat.roster.member(peer).s_pk));
    masks.push_back({.key = pair_mask_key(suite, shared, seat.ctx, seat.index, peer),
                     .sign = seat.index < peer ? Sign::kAdd : Sign::kSubtract});
  }
  return masks;
}

}  // namespace inkling::secagg
