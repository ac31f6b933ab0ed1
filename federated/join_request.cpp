#include "federated/join_request.h"

#include <algorithm>

namespace inkling::federated {

namespace {

constexpr std::size_t kRequestBytes = 192;

Bytes statement(ByteSpan unsigned_part) {
  ByteWriter out;
  out.text("fl-sa/1/join");
  out.raw(unsigned_part);
  return out.take();
}

template <std::size_t N>
void read_into(ByteReader& in, std::array<std::uint8_t, N>& to) {
  const ByteSpan bytes = in.raw(N);
  std::copy(bytes.begin(), bytes.end(), to.begin());
}

}  // namespace

Bytes make_join_request(const secagg::Identity& identity, std::int64_t now_ms) {
  ByteWriter out;
  out.raw(identity.certificate.id);
  out.raw(identity.certificate.key);
  out.u64(static_cast<std::uint64_t>(identity.certificate.not_after_ms));
  out.raw(identity.certificate.signature);
  out.u64(static_cast<std::uint64_t>(now_ms));
  const secagg::Signature signature = identity.key.sign(statement(out.bytes()));
  out.raw(signature);
  return out.take();
}

Result<secagg::ClientId> check_join_request(ByteSpan request, const secagg::PublicKey& authority,
                                            std::int64_t now_ms) {
  if (request.size() != kRequestBytes) {
    return fail(ErrorCode::kCorrupt, "join request: ", request.size(), " bytes, expected ",
                kRequestBytes);
  }
  ByteReader in(request);
  secagg::Certificate certificate;
  read_into(in, certificate.id);
  read_into(in, certificate.key);
  certificate.not_after_ms = static_cast<std::int64_t>(in.u64());
  read_into(in, certificate.signature);
  const auto when_ms = static_cast<std::int64_t>(in.u64());
  secagg::Signature signature{};
  read_into(in, signature);
  INK_CHECK_OK(secagg::check_certificate(certificate, secagg::Role::kClient, authority, now_ms));
  const ByteSpan signed_bytes = request.first(kRequestBytes - signature.size());
  if (!secagg::signature_holds(certificate.key, statement(signed_bytes), signature)) {
    return fail(ErrorCode::kVerification, "join request of ", to_hex(certificate.id),
                ": not signed by the certified key");
  }
  if (when_ms < now_ms - kJoinWindowMs || when_ms > now_ms + kJoinWindowMs) {
    return fail(ErrorCode::kVerification, "join request of ", to_hex(certificate.id), ": made at ",
                when_ms, " ms, now ", now_ms, ": set the clock");
  }
  return certificate.id;
}

}  // namespace inkling::federated
