#pragma once
// The cryptographic primitives of fl-sa/1, all from OpenSSL's EVP: SHA-256, HKDF-SHA256 (RFC 5869),
// X25519 (RFC 7748), Ed25519 (RFC 8032), AES-256-GCM, and the keystreams that become masks.
//
// Keys are values of types that cannot be mixed up: an AgreementKey cannot sign and a SigningKey
// cannot agree. Objects are movable, not copyable; const members may be called from any thread.
// Out of memory inside OpenSSL is treated as operator new treats it: the process ends.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>

#include "federated/secagg/entropy.h"
#include "federated/secagg/secret.h"
#include "runtime/base/bytes.h"

struct evp_pkey_st;
struct evp_cipher_ctx_st;

namespace inkling::secagg {

using Hash = std::array<std::uint8_t, 32>;
using PublicKey = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

inline constexpr std::size_t kGcmTagBytes = 16;

// SHA-256 over the concatenation of the parts.
Hash hash_of(std::initializer_list<ByteSpan> parts);

// HKDF-SHA256, extract and expand; out.size() <= 255 * 32.
void hkdf(ByteSpan ikm, ByteSpan salt, ByteSpan info, std::span<std::uint8_t> out);

// Only for keys that are used once: the nonce is twelve zero bytes. The result is
// ciphertext || tag, 16 bytes longer than the plaintext.
Bytes seal_once(const Secret<32>& key, ByteSpan aad, ByteSpan plaintext);
// kVerification when key, associated data or a byte of the box differs.
Result<SecretBytes> open_once(const Secret<32>& key, ByteSpan aad, ByteSpan box);

// As above with a caller's 12-byte nonce; the pair above and the vectors of the tests rest on it.
Bytes gcm_seal(ByteSpan key, std::span<const std::uint8_t, 12> nonce, ByteSpan aad,
               ByteSpan plaintext);

struct KeyDeleter {
  void operator()(evp_pkey_st* key) const noexcept;
};
using KeyHandle = std::unique_ptr<evp_pkey_st, KeyDeleter>;

// An X25519 key pair.
class AgreementKey {
 public:
  static Result<AgreementKey> generate(EntropySource& entropy);
  static AgreementKey from_secret(Secret<32> secret);

  const PublicKey& public_key() const { return public_key_; }
  const Secret<32>& secret() const { return secret_; }

  // The raw shared secret; feed it to hkdf, never use it as a key. kVerification when the output
  // is all zero, i.e. the peer sent a low-order point.
  Result<Secret<32>> agree(const PublicKey& peer) const;

 private:
  AgreementKey() = default;
  Secret<32> secret_;
  PublicKey public_key_{};
  KeyHandle handle_;  // kept because making it anew recomputes the public key
};

// An Ed25519 key pair.
class SigningKey {
 public:
  static Result<SigningKey> generate(EntropySource& entropy);
  static SigningKey from_seed(Secret<32> seed);

  const PublicKey& public_key() const { return public_key_; }
  const Secret<32>& seed() const { return seed_; }
  Signature sign(ByteSpan message) const;

 private:
  SigningKey() = default;
  Secret<32> seed_;
  PublicKey public_key_{};
  KeyHandle handle_;
};

bool signature_holds(const PublicKey& key, ByteSpan message, const Signature& signature);

enum class Suite : std::uint8_t { kAes128Ctr = 1, kAes256Ctr = 2, kChaCha20 = 3 };

// Key material of a keystream: kAes128Ctr uses key[16] || counter[16], kAes256Ctr
// key[32] || counter[16] (128-bit big-endian counter blocks), kChaCha20 key[32] || nonce[12] with
// the block counter starting at 0.
struct StreamKey {
  Suite suite = Suite::kAes128Ctr;
  Secret<48> material;
};
std::size_t stream_key_bytes(Suite suite);

// The keystream of a StreamKey, read from its beginning.
class Keystream {
 public:
  explicit Keystream(const StreamKey& key);
  void fill(std::span<std::uint8_t> out);

 private:
  struct ContextDeleter {
    void operator()(evp_cipher_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_cipher_ctx_st, ContextDeleter> context_;
};

}  // namespace inkling::secagg
