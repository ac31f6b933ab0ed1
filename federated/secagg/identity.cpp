#include "federated/secagg/identity.h"

namespace inkling::secagg {

namespace {

Bytes signed_part(Role role, const Certificate& certificate) {
  ByteWriter out;
  out.text(role == Role::kClient ? "fl-sa/1/cert" : "fl-sa/1/server-cert");
  out.raw(certificate.id);
  out.raw(certificate.key);
  out.u64(static_cast<std::uint64_t>(certificate.not_after_ms));
  return out.take();
}

}  // namespace

Certificate issue_certificate(const SigningKey& authority, Role role, const ClientId& id,
                              const PublicKey& key, std::int64_t not_after_ms) {
  Certificate certificate{.id = id, .key = key, .not_after_ms = not_after_ms, .signature = {}};
  certificate.signature = authority.sign(signed_part(role, certificate));
  return certificate;
}

Result<void> check_certificate(const Certificate& certificate, Role role,
                               const PublicKey& authority, std::int64_t now_ms) {
  if (!signature_holds(authority, signed_part(role, certificate), certificate.signature)) {
    return fail(ErrorCode::kVerification, "certificate of ", to_hex(certificate.id),
                ": not signed by the pinned authority for this role");
  }
  if (now_ms > certificate.not_after_ms) {
    return fail(ErrorCode::kVerification, "certificate of ", to_hex(certificate.id),
                ": expired at ", certificate.not_after_ms, " ms, now ", now_ms);
  }
  return {};
}

}  // namespace inkling::secagg
