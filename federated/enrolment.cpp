#include "federated/enrolment.h"

#include <algorithm>

#include "runtime/base/sha256.h"

namespace inkling::federated {

namespace {

constexpr std::uint64_t kIdentityFileBytesMax = 4096;
constexpr std::string_view kMagic("inkid/1\0", 8);
constexpr std::size_t kIdentityBytes = 192;

template <std::size_t N>
void read_into(ByteReader& reader, std::array<std::uint8_t, N>& to) {
  const ByteSpan bytes = reader.raw(N);
  std::copy(bytes.begin(), bytes.end(), to.begin());
}

}  // namespace

Result<secagg::Identity> enrol(const secagg::SigningKey& authority, secagg::Role role,
                               const secagg::ClientId& id, std::int64_t not_after_ms,
                               secagg::EntropySource& entropy) {
  INK_TRY(secagg::SigningKey key, secagg::SigningKey::generate(entropy));
  const secagg::Certificate certificate =
      secagg::issue_certificate(authority, role, id, key.public_key(), not_after_ms);
  return secagg::Identity{certificate, std::move(key)};
}

Result<void> save_identity(const secagg::Identity& identity, const Path& path) {
  const secagg::Certificate& certificate = identity.certificate;
  secagg::SecretBytes bytes;
  const auto append = [&](ByteSpan part) { bytes.insert(bytes.end(), part.begin(), part.end()); };
  ByteWriter expiry;
  expiry.u64(static_cast<std::uint64_t>(certificate.not_after_ms));
  append(as_bytes(kMagic));
  append(certificate.id);
  append(certificate.key);
  append(expiry.bytes());
  append(certificate.signature);
  append(identity.key.seed().reveal());
  append(sha256(bytes));
  return write_file(path, bytes);
}

Result<secagg::Identity> load_identity(const Path& path) {
  INK_TRY(Bytes bytes, read_file(path, kIdentityFileBytesMax));
  auto identity = decode_identity(bytes, path.string());
  secagg::wipe(bytes.data(), bytes.size());
  return identity;
}

Result<secagg::Identity> decode_identity(ByteSpan bytes, std::string_view name) {
  ByteReader reader(bytes);
  bool intact = bytes.size() == kIdentityBytes && as_text(reader.raw(kMagic.size())) == kMagic;
  secagg::Certificate certificate;
  read_into(reader, certificate.id);
  read_into(reader, certificate.key);
  certificate.not_after_ms = static_cast<std::int64_t>(reader.u64());
  read_into(reader, certificate.signature);
  std::array<std::uint8_t, 32> seed{};
  read_into(reader, seed);
  secagg::SigningKey key = secagg::SigningKey::from_seed(secagg::Secret<32>::copy_of(seed));
  Sha256Digest digest{};
  read_into(reader, digest);
  intact = intact && digest == sha256(bytes.first(kIdentityBytes - digest.size()));
  secagg::wipe(seed.data(), seed.size());
  if (!intact || key.public_key() != certificate.key) {
    return fail(ErrorCode::kCorrupt, name, ": not an identity file, or a damaged one");
  }
  return secagg::Identity{certificate, std::move(key)};
}

}  // namespace inkling::federated
