#pragma once
// What a client computes from its secrets: the boxes of shares that it deals to its holders, and
// the masks on its vector. Pure functions; client.h says when each is called, and never with other
// arguments twice.

#include <cstdint>
#include <vector>

#include "federated/secagg/masking.h"
#include "federated/secagg/roster.h"
#include "federated/secagg/share_box.h"

namespace inkling::secagg {

// A client's place in a round.
struct Seat {
  const Roster& roster;
  const Hash& ctx;
  std::uint32_t index;
};

struct Dealt {
  std::vector<SealedShare> boxes;  // one for each neighbour, ascending
  SharePair own;                   // the client is a holder, too
};

// Splits the self-mask seed and the pair-mask key among the client's holders and seals a pair of
// shares for each. kVerification: a neighbour's key is a low-order point.
Result<Dealt> deal_shares(const Seat& seat, const AgreementKey& c, const Secret<32>& seed,
                          const Secret<32>& s_secret, EntropySource& entropy);

// The client's masks: its own, then one for each neighbour that is present.
Result<std::vector<Mask>> masks_of(const Seat& seat, Suite suite, const ClientSet& present,
                                   const AgreementKey& s, const Secret<32>& seed);

}  // namespace inkling::secagg
