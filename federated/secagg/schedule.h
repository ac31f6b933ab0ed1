#pragma once
// The key schedule of fl-sa/1: how a round's keys follow from key agreement and the context.
// Every derivation carries a label, the context and the indices, so no key serves two purposes,
// two rounds or two directions.

#include <cstdint>

#include "federated/secagg/crypto.h"

namespace inkling::secagg {

// AES-256-GCM key for the one share box that u sends to v; shared is X25519(c_u, c_v).
Secret<32> share_key(const Secret<32>& shared, const Hash& ctx, std::uint32_t from,
                     std::uint32_t to);

// The associated data of that box.
Bytes share_aad(const Hash& ctx, const Hash& roster_hash, std::uint32_t from, std::uint32_t to);

// The pairwise mask of u and v, the same whichever is named first; shared is X25519(s_u, s_v).
// The lower index adds it, the higher one subtracts it.
StreamKey pair_mask_key(Suite suite, const Secret<32>& shared, const Hash& ctx, std::uint32_t u,
                        std::uint32_t v);

// The self mask of u from its seed b_u.
StreamKey self_mask_key(Suite suite, const Secret<32>& seed, const Hash& ctx, std::uint32_t u);

// The commitment to b that Advertise carries.
Hash seed_commitment(const Hash& ctx, const Secret<32>& seed);

// A public stream: AES-128-CTR keyed by HKDF of a public value (ring order, rotation signs).
StreamKey public_stream_key(ByteSpan value, std::string_view label);

}  // namespace inkling::secagg
