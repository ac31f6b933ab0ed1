#pragma once
// Manifest: which global model is the newest of a task, signed by the task's server, whose key the
// pinned authority certifies. A device takes no model without one (ideas of The Update Framework,
// spec 1.0.34, section 5).
//
//   0 "inkmf/1\0"   8 task [16]   24 u64 version   32 u64 expires, Unix ms   40 u64 model bytes
//   48 SHA-256 of the model [32]   then the server's certificate: 80 id [16]   96 key [32]
//   128 u64 not-after   136 the authority's signature [64]
//   200 the server's signature over "fl-sa/1/manifest" and all before [64]   264 bytes in all
// Integers are little-endian.
//
// What a device refuses, besides a manifest that does not hold:
//   rollback        a version below the newest that it has seen of the task
//   equivocation    that version again, with another model
//   freeze          a manifest that has expired: it goes on with the model at hand
//   mix-and-match   a model of another length or digest, or the manifest of another task

#include <cstdint>

#include "federated/secagg/config.h"
#include "federated/secagg/identity.h"

namespace inkling::federated {

struct Manifest {
  secagg::TaskId task{};
  std::uint64_t version = 0;    // grows with every model of the task
  std::int64_t expires_ms = 0;  // Unix time
  std::uint64_t model_bytes = 0;
  secagg::Hash model_hash{};
  bool operator==(const Manifest&) const = default;
};

// For these very bytes of a model.
Manifest describe_model(const secagg::TaskId& task, std::uint64_t version, std::int64_t expires_ms,
                        ByteSpan model);

Bytes sign_manifest(const Manifest& manifest, const secagg::Identity& server);

// kCorrupt: another size or beginning. kVerification: not by a server that the authority certifies,
// a changed field, or expired at now_ms.
Result<Manifest> open_manifest(ByteSpan bytes, const secagg::PublicKey& authority,
                               std::int64_t now_ms);

// What a device remembers of a task, from one model to the next. Store it before the model is used.
struct ModelTrust {
  std::uint64_t version = 0;  // 0: no model yet
  secagg::Hash model_hash{};
};
Bytes encode_trust(const ModelTrust& trust);
Result<ModelTrust> decode_trust(ByteSpan bytes);  // kCorrupt: another size

// Whether a device that has seen `last` may take this model for this task, and what it then
// remembers. kVerification: rollback, equivocation or mix-and-match, as above.
Result<ModelTrust> check_model(const Manifest& manifest, const secagg::TaskId& task, ByteSpan model,
                               const ModelTrust& last);

}  // namespace inkling::federated
