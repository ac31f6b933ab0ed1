#pragma once
// The authority's list of devices that may no longer take part.
//
//   0 "inkrl/1\0"   8 u64 issued at, Unix ms   16 u32 count   20 ids, ascending [16] each
//   then the authority's signature over "fl-sa/1/revoked" and all before [64]
// A server keeps the newest list that it has seen: an older one would let devices back in.

#include <set>

#include "federated/secagg/identity.h"
#include "runtime/base/file.h"

namespace inkling::federated {

struct Revocations {
  std::int64_t issued_ms = 0;
  std::set<secagg::ClientId> ids;
};
inline constexpr std::size_t kRevocationsMax = 1'000'000;

Bytes encode_revocations(const Revocations& list, const secagg::SigningKey& authority);
// kCorrupt for a malformed list, kVerification for one that the authority did not sign.
Result<Revocations> decode_revocations(ByteSpan bytes, const secagg::PublicKey& authority);

}  // namespace inkling::federated
