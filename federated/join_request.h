#pragma once
// What a device sends to ask for a seat: proof that it is who it says, so that nobody takes another
// device's seat, or fills a cohort with made-up ids.
//
//   0 certificate: id [16], key [32], u64 not-after, authority's signature [64]
//   120 u64 Unix ms   128 signature over "fl-sa/1/join" and all before [64]   192 bytes in all
// A copy is good for kJoinWindowMs, and for nothing but the same device's seat.

#include "federated/secagg/identity.h"

namespace inkling::federated {

inline constexpr std::int64_t kJoinWindowMs = 15 * 60 * 1000;  // either way: clocks are off

Bytes make_join_request(const secagg::Identity& identity, std::int64_t now_ms);

// The device that asks. kCorrupt: another size. kVerification: not certified, not signed by the
// certified key, or from another time.
Result<secagg::ClientId> check_join_request(ByteSpan request, const secagg::PublicKey& authority,
                                            std::int64_t now_ms);

}  // namespace inkling::federated
