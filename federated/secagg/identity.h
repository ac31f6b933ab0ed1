#pragma once
// Who may take part: long-term Ed25519 identities, each certified by a pinned authority.
// Client and server certificates are signed under different labels, so one can never pass as the
// other.

#include <array>
#include <cstdint>

#include "federated/secagg/crypto.h"

namespace inkling::secagg {

using ClientId = std::array<std::uint8_t, 16>;

enum class Role : std::uint8_t { kClient = 1, kServer = 2 };

struct Certificate {
  ClientId id{};
  PublicKey key{};
  std::int64_t not_after_ms = 0;  // Unix time
  Signature signature{};          // the authority's
  bool operator==(const Certificate&) const = default;
};

struct Identity {
  Certificate certificate;
  SigningKey key;
};

Certificate issue_certificate(const SigningKey& authority, Role role, const ClientId& id,
                              const PublicKey& key, std::int64_t not_after_ms);

// kVerification: another authority, another role, a changed field, or expired at now_ms.
Result<void> check_certificate(const Certificate& certificate, Role role,
                               const PublicKey& authority, std::int64_t now_ms);

}  // namespace inkling::secagg
