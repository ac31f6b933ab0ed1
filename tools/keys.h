#pragma once
// The keys that commands read from files.

#include "federated/enrolment.h"
#include "federated/revocation.h"

namespace inkling::tools {

// The authority's Ed25519 key as `inkling ca init` wrote it.
Result<secagg::PublicKey> read_authority(const Path& public_pem);
Result<secagg::SigningKey> read_authority_key(const Path& private_pem);

inline constexpr const char* kRevokedName = "revoked";  // in the folder of ca init
Result<federated::Revocations> read_revocations(const Path& file,
                                                const secagg::PublicKey& authority);

// 32 hexadecimal digits.
Result<secagg::ClientId> parse_client_id(std::string_view text);

}  // namespace inkling::tools
