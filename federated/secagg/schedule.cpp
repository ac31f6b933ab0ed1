#include "federated/secagg/schedule.h"

#include <algorithm>

namespace inkling::secagg {

namespace {

Bytes indexed_info(std::string_view label, const Hash& ctx, std::uint32_t a, std::uint32_t b) {
  ByteWriter info;
  info.text(label);
  info.raw(ctx);
  info.u32(a);
  info.u32(b);
  return info.take();
}

StreamKey derive_stream(Suite suite, ByteSpan ikm, ByteSpan salt, ByteSpan info) {
  StreamKey key{.suite = suite, .material = {}};
  hkdf(ikm, salt, info, key.material.writable().first(stream_key_bytes(suite)));
  return key;
}

}  // namespace

Secret<32> share_key(const Secret<32>& shared, const Hash& ctx, std::uint32_t from,
                     std::uint32_t to) {
  Secret<32> key;
  hkdf(shared.reveal(), ctx, indexed_info("fl-sa/1/enc", ctx, from, to), key.writable());
  return key;
}

Bytes share_aad(const Hash& ctx, const Hash& roster_hash, std::uint32_t from, std::uint32_t to) {
  ByteWriter aad;
  aad.text("fl-sa/1/share");
  aad.raw(ctx);
  aad.raw(roster_hash);
  aad.u32(from);
  aad.u32(to);
  return aad.take();
}

StreamKey pair_mask_key(Suite suite, const Secret<32>& shared, const Hash& ctx, std::uint32_t u,
                        std::uint32_t v) {
  return derive_stream(suite, shared.reveal(), ctx,
                       indexed_info("fl-sa/1/mask", ctx, std::min(u, v), std::max(u, v)));
}

StreamKey self_mask_key(Suite suite, const Secret<32>& seed, const Hash& ctx, std::uint32_t u) {
  return derive_stream(suite, seed.reveal(), ctx, indexed_info("fl-sa/1/self", ctx, u, u));
}

Hash seed_commitment(const Hash& ctx, const Secret<32>& seed) {
  return hash_of({as_bytes("fl-sa/1/b"), ctx, seed.reveal()});
}

StreamKey public_stream_key(ByteSpan value, std::string_view label) {
  return derive_stream(Suite::kAes128Ctr, value, {}, as_bytes(label));
}

}  // namespace inkling::secagg
