#include "tools/keys.h"

#include <algorithm>

#include "server-sim/pki/certificate.h"

namespace inkling::tools {

namespace {

constexpr std::uint64_t kPemBytesMax = 64 << 10;

}  // namespace

Result<secagg::PublicKey> read_authority(const Path& public_pem) {
  INK_TRY(const Bytes pem, read_file(public_pem, kPemBytesMax));
  auto key = read_identity_public(as_text(pem));
  if (!key) return fail_within(std::move(key).error(), public_pem.string());
  return *key;
}

Result<secagg::SigningKey> read_authority_key(const Path& private_pem) {
  INK_TRY(Bytes pem, read_file(private_pem, kPemBytesMax));
  auto seed = read_identity_seed(as_text(pem));
  secagg::wipe(pem.data(), pem.size());
  if (!seed) return fail_within(std::move(seed).error(), private_pem.string());
  const ByteSpan raw = as_bytes(seed->reveal());
  return secagg::SigningKey::from_seed(
      secagg::Secret<32>::copy_of(std::span<const std::uint8_t, 32>(raw.data(), 32)));
}

Result<federated::Revocations> read_revocations(const Path& file,
                                                const secagg::PublicKey& authority) {
  constexpr std::uint64_t kBytesMax = 64 + 16 * federated::kRevocationsMax + 64;
  INK_TRY(const Bytes bytes, read_file(file, kBytesMax));
  return federated::decode_revocations(bytes, authority);
}

Result<secagg::ClientId> parse_client_id(std::string_view text) {
  secagg::ClientId id{};
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != id.size()) {
    return fail(ErrorCode::kInvalidArgument, "device id '", text, "': expected ", 2 * id.size(),
                " hexadecimal digits");
  }
  std::copy(bytes->begin(), bytes->end(), id.begin());
  return id;
}

}  // namespace inkling::tools
