#include "federated/manifest.h"

#include <algorithm>

namespace inkling::federated {

namespace {

constexpr std::string_view kMagic("inkmf/1\0", 8);
constexpr std::size_t kManifestBytes = 264;

Bytes statement(ByteSpan unsigned_part) {
  ByteWriter out;
  out.text("fl-sa/1/manifest");
  out.raw(unsigned_part);
  return out.take();
}

template <std::size_t N>
void read_into(ByteReader& in, std::array<std::uint8_t, N>& to) {
  const ByteSpan bytes = in.raw(N);
  std::copy(bytes.begin(), bytes.end(), to.begin());
}

}  // namespace

Manifest describe_model(const secagg::TaskId& task, std::uint64_t version, std::int64_t expires_ms,
                        ByteSpan model) {
  return {.task = task,
          .version = version,
          .expires_ms = expires_ms,
          .model_bytes = model.size(),
          .model_hash = secagg::hash_of({model})};
}

Bytes sign_manifest(const Manifest& manifest, const secagg::Identity& server) {
  ByteWriter out;
  out.text(kMagic);
  out.raw(manifest.task);
  out.u64(manifest.version);
  out.u64(static_cast<std::uint64_t>(manifest.expires_ms));
  out.u64(manifest.model_bytes);
  out.raw(manifest.model_hash);
  out.raw(server.certificate.id);
  out.raw(server.certificate.key);
  out.u64(static_cast<std::uint64_t>(server.certificate.not_after_ms));
  out.raw(server.certificate.signature);
  const secagg::Signature signature = server.key.sign(statement(out.bytes()));
  out.raw(signature);
  return out.take();
}

Result<Manifest> open_manifest(ByteSpan bytes, const secagg::PublicKey& authority,
                               std::int64_t now_ms) {
  ByteReader in(bytes);
  if (as_text(in.raw(kMagic.size())) != kMagic || bytes.size() != kManifestBytes) {
    return fail(ErrorCode::kCorrupt, "manifest: ", bytes.size(), " bytes, expected ",
                kManifestBytes, " that begin with inkmf/1");
  }
  Manifest manifest;
  read_into(in, manifest.task);
  manifest.version = in.u64();
  manifest.expires_ms = static_cast<std::int64_t>(in.u64());
  manifest.model_bytes = in.u64();
  read_into(in, manifest.model_hash);
  secagg::Certificate server;
  read_into(in, server.id);
  read_into(in, server.key);
  server.not_after_ms = static_cast<std::int64_t>(in.u64());
  read_into(in, server.signature);
  secagg::Signature signature{};
  read_into(in, signature);
  const auto certified = check_certificate(server, secagg::Role::kServer, authority, now_ms);
  if (!certified) return fail_within(certified.error(), "manifest");
  const ByteSpan signed_part = bytes.first(kManifestBytes - signature.size());
  if (!secagg::signature_holds(server.key, statement(signed_part), signature))
    return fail(ErrorCode::kVerification, "manifest: not signed by the certified server");
  if (now_ms > manifest.expires_ms) {
    return fail(ErrorCode::kVerification, "manifest: version ", manifest.version, " expired at ",
                manifest.expires_ms, " ms, now ", now_ms);
  }
  return manifest;
}

Bytes encode_trust(const ModelTrust& trust) {
  ByteWriter out;
  out.u64(trust.version);
  out.raw(trust.model_hash);
  return out.take();
}

Result<ModelTrust> decode_trust(ByteSpan bytes) {
  ByteReader in(bytes);
  ModelTrust trust{.version = in.u64()};
  read_into(in, trust.model_hash);
  if (in.finished()) return trust;
  return fail(ErrorCode::kCorrupt, "model trust: ", bytes.size(), " bytes");
}

Result<ModelTrust> check_model(const Manifest& manifest, const secagg::TaskId& task, ByteSpan model,
                               const ModelTrust& last) {
  if (manifest.task != task)
    return fail(ErrorCode::kVerification, "manifest: of task ", to_hex(manifest.task),
                ", expected ", to_hex(task));
  if (manifest.version == 0 || manifest.version < last.version) {
    return fail(ErrorCode::kVerification, "manifest: version ", manifest.version,
                ", this device has seen ", last.version);
  }
  if (manifest.version == last.version && manifest.model_hash != last.model_hash) {
    return fail(ErrorCode::kVerification, "manifest: version ", manifest.version,
                " with another model than before");
  }
  if (manifest.model_bytes != model.size() || manifest.model_hash != secagg::hash_of({model})) {
    return fail(ErrorCode::kVerification, "manifest: the model of ", model.size(),
                " bytes is not the one of version ", manifest.version);
  }
  return ModelTrust{.version = manifest.version, .model_hash = manifest.model_hash};
}

}  // namespace inkling::federated
