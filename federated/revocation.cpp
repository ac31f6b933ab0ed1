#include "federated/revocation.h"

#include <algorithm>

namespace inkling::federated {

namespace {

constexpr std::string_view kMagic("inkrl/1\0", 8);
constexpr std::size_t kHeadBytes = 20;

Bytes statement(ByteSpan list) {
  ByteWriter out;
  out.text("fl-sa/1/revoked");
  out.raw(list);
  return out.take();
}

}  // namespace

Bytes encode_revocations(const Revocations& list, const secagg::SigningKey& authority) {
  ByteWriter out;
  out.text(kMagic);
  out.u64(static_cast<std::uint64_t>(list.issued_ms));
  out.u32(static_cast<std::uint32_t>(list.ids.size()));
  for (const secagg::ClientId& id : list.ids) out.raw(id);
  const secagg::Signature signature = authority.sign(statement(out.bytes()));
  out.raw(signature);
  return out.take();
}

Result<Revocations> decode_revocations(ByteSpan bytes, const secagg::PublicKey& authority) {
  ByteReader in(bytes);
  const bool magic = as_text(in.raw(kMagic.size())) == kMagic;
  Revocations list{.issued_ms = static_cast<std::int64_t>(in.u64()), .ids = {}};
  const std::uint32_t count = in.u32();
  const std::size_t expected =
      kHeadBytes + count * sizeof(secagg::ClientId) + sizeof(secagg::Signature);
  if (!in.ok() || !magic || count > kRevocationsMax || bytes.size() != expected) {
    return fail(ErrorCode::kCorrupt, "revocations: ", bytes.size(),
                " bytes that are not a list of revoked devices");
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    secagg::ClientId id{};
    const ByteSpan raw = in.raw(id.size());
    std::copy(raw.begin(), raw.end(), id.begin());
    if (!list.ids.empty() && !(*list.ids.rbegin() < id))
      return fail(ErrorCode::kCorrupt, "revocations: ids out of order");
    list.ids.insert(list.ids.end(), id);
  }
  secagg::Signature signature{};
  const ByteSpan raw = in.raw(signature.size());
  std::copy(raw.begin(), raw.end(), signature.begin());
  if (!secagg::signature_holds(authority, statement(bytes.first(expected - signature.size())),
                               signature)) {
    return fail(ErrorCode::kVerification, "revocations: not signed by the authority");
  }
  return list;
}

}  // namespace inkling::federated
