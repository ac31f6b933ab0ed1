#pragma once
// A device's (or the server's) identity as a file: its certificate and its signing seed.
//
//   0 "inkid/1\0"   8 client id [16]   24 public key [32]   56 u64 not-after, Unix ms   64
//   authority's signature [64] 128 Ed25519 seed [32]   160 SHA-256 of all before [32]   192 bytes
//   in all, integers little-endian
// The file holds a secret: it is written readable by its owner alone.

#include "federated/secagg/identity.h"
#include "runtime/base/file.h"

namespace inkling::federated {

// A fresh identity certified by the authority.
Result<secagg::Identity> enrol(const secagg::SigningKey& authority, secagg::Role role,
                               const secagg::ClientId& id, std::int64_t not_after_ms,
                               secagg::EntropySource& entropy);

Result<void> save_identity(const secagg::Identity& identity, const Path& path);
// kCorrupt: another size, beginning or digest, or a seed that does not belong to the certificate.
// Whether the certificate is the authority's is for whoever knows the authority to check.
Result<secagg::Identity> load_identity(const Path& path);
// The same from the file's bytes, which the caller wipes; name is for the error.
Result<secagg::Identity> decode_identity(ByteSpan bytes, std::string_view name);

}  // namespace inkling::federated
