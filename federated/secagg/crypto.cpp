#include "federated/secagg/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

namespace inkling::secagg {

namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
  void operator()(EVP_PKEY_CTX* context) const noexcept { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeContext>;
using AgreementContext = std::unique_ptr<EVP_PKEY_CTX, FreeContext>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

constexpr std::array<std::uint8_t, 12> kZeroNonce{};

// EVP lengths are int; every caller's bytes are far below that.
int evp_length(std::size_t size) {
  INK_INVARIANT(size <= 0x7fffffff);
  return static_cast<int>(size);
}

KeyHandle private_key(int type, std::span<const std::uint8_t, 32> bytes) {
  KeyHandle key(EVP_PKEY_new_raw_private_key(type, nullptr, bytes.data(), bytes.size()));
  INK_INVARIANT(key != nullptr);
  return key;
}

PublicKey public_half(const KeyHandle& key) {
  PublicKey out{};
  std::size_t size = out.size();
  INK_INVARIANT(EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size) == 1);
  return out;
}

Hash hmac(ByteSpan key, std::initializer_list<ByteSpan> parts) {
  SecretBytes message;
  for (const ByteSpan part : parts) message.insert(message.end(), part.begin(), part.end());
  Hash out{};
  unsigned size = 0;
  INK_INVARIANT(HMAC(EVP_sha256(), key.data(), evp_length(key.size()), message.data(),
                     message.size(), out.data(), &size) != nullptr);
  return out;
}

}  // namespace

void wipe(void* memory, std::size_t size) noexcept { OPENSSL_cleanse(memory, size); }

bool equal_in_constant_time(std::span<const std::uint8_t> a,
                            std::span<const std::uint8_t> b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Hash hash_of(std::initializer_list<ByteSpan> parts) {
  const DigestContext context(EVP_MD_CTX_new());
  INK_INVARIANT(context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  for (const ByteSpan part : parts) {
    INK_INVARIANT(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1);
  }
  Hash out{};
  INK_INVARIANT(EVP_DigestFinal_ex(context.get(), out.data(), nullptr) == 1);
  return out;
}

void hkdf(ByteSpan ikm, ByteSpan salt, ByteSpan info, std::span<std::uint8_t> out) {
  INK_INVARIANT(out.size() <= 255 * sizeof(Hash));
  const Hash no_salt{};
  Hash prk = hmac(salt.empty() ? ByteSpan(no_salt) : salt, {ikm});
  Hash block{};
  std::uint8_t counter = 0;
  for (std::size_t done = 0; done < out.size(); done += block.size()) {
    ++counter;
    block = hmac(prk, {done == 0 ? ByteSpan() : ByteSpan(block), info, {&counter, 1}});
    const std::size_t count = std::min(block.size(), out.size() - done);
    std::copy_n(block.begin(), count, out.begin() + static_cast<std::ptrdiff_t>(done));
  }
  wipe(prk.data(), prk.size());
  wipe(block.data(), block.size());
}

Bytes gcm_seal(ByteSpan key, std::span<const std::uint8_t, 12> nonce, ByteSpan aad,
               ByteSpan plaintext) {
  INK_INVARIANT(key.size() == 32);
  const CipherContext context(EVP_CIPHER_CTX_new());
  INK_INVARIANT(context && EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(),
                                              nonce.data()) == 1);
  Bytes box(plaintext.size() + kGcmTagBytes);
  int count = 0;
  INK_INVARIANT(
      EVP_EncryptUpdate(context.get(), nullptr, &count, aad.data(), evp_length(aad.size())) == 1);
  INK_INVARIANT(EVP_EncryptUpdate(context.get(), box.data(), &count, plaintext.data(),
                                  evp_length(plaintext.size())) == 1);
  INK_INVARIANT(EVP_EncryptFinal_ex(context.get(), box.data() + count, &count) == 1);
  INK_INVARIANT(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kGcmTagBytes,
                                    box.data() + plaintext.size()) == 1);
  return box;
}

Bytes seal_once(const Secret<32>& key, ByteSpan aad, ByteSpan plaintext) {
  return gcm_seal(key.reveal(), kZeroNonce, aad, plaintext);
}

Result<SecretBytes> open_once(const Secret<32>& key, ByteSpan aad, ByteSpan box) {
  if (box.size() < kGcmTagBytes) {
    return fail(ErrorCode::kVerification, "sealed box: ", box.size(), " bytes, expected at least ",
                kGcmTagBytes);
  }
  const ByteSpan ciphertext = box.first(box.size() - kGcmTagBytes);
  std::array<std::uint8_t, kGcmTagBytes> tag;
  std::copy_n(box.end() - kGcmTagBytes, kGcmTagBytes, tag.begin());
  const CipherContext context(EVP_CIPHER_CTX_new());
  INK_INVARIANT(context && EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr,
                                              key.reveal().data(), kZeroNonce.data()) == 1);
  SecretBytes plaintext(ciphertext.size());
  int count = 0;
  INK_INVARIANT(
      EVP_DecryptUpdate(context.get(), nullptr, &count, aad.data(), evp_length(aad.size())) == 1);
  INK_INVARIANT(EVP_DecryptUpdate(context.get(), plaintext.data(), &count, ciphertext.data(),
                                  evp_length(ciphertext.size())) == 1);
  INK_INVARIANT(
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kGcmTagBytes, tag.data()) == 1);
  if (EVP_DecryptFinal_ex(context.get(), plaintext.data() + count, &count) != 1) {
    return fail(ErrorCode::kVerification,
                "sealed box: the tag does not hold: another key, context or ciphertext");
  }
  return plaintext;
}

void KeyDeleter::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

Result<AgreementKey> AgreementKey::generate(EntropySource& entropy) {
  Secret<32> secret;
  INK_CHECK_OK(entropy.fill(secret.writable()));
  return from_secret(std::move(secret));
}

AgreementKey AgreementKey::from_secret(Secret<32> secret) {
  AgreementKey key;
  key.handle_ = private_key(EVP_PKEY_X25519, secret.reveal());
  key.public_key_ = public_half(key.handle_);
  key.secret_ = std::move(secret);
  return key;
}

Result<Secret<32>> AgreementKey::agree(const PublicKey& peer) const {
  const KeyHandle other(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer.data(), peer.size()));
  const AgreementContext context(EVP_PKEY_CTX_new(handle_.get(), nullptr));
  INK_INVARIANT(other && context && EVP_PKEY_derive_init(context.get()) == 1);
  Secret<32> shared;
  std::size_t size = shared.writable().size();
  const bool derived = EVP_PKEY_derive_set_peer(context.get(), other.get()) == 1 &&
                       EVP_PKEY_derive(context.get(), shared.writable().data(), &size) == 1;
  if (!derived || shared.equals(Secret<32>())) {
    return fail(ErrorCode::kVerification, "x25519: the peer's key is a low-order point");
  }
  return shared;
}

Result<SigningKey> SigningKey::generate(EntropySource& entropy) {
  Secret<32> seed;
  INK_CHECK_OK(entropy.fill(seed.writable()));
  return from_seed(std::move(seed));
}

SigningKey SigningKey::from_seed(Secret<32> seed) {
  SigningKey key;
  key.handle_ = private_key(EVP_PKEY_ED25519, seed.reveal());
  key.public_key_ = public_half(key.handle_);
  key.seed_ = std::move(seed);
  return key;
}

Signature SigningKey::sign(ByteSpan message) const {
  const DigestContext context(EVP_MD_CTX_new());
  Signature signature{};
  std::size_t size = signature.size();
  INK_INVARIANT(
      context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, handle_.get()) == 1 &&
      EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) == 1);
  return signature;
}

bool signature_holds(const PublicKey& key, ByteSpan message, const Signature& signature) {
  const KeyHandle handle(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  const DigestContext context(EVP_MD_CTX_new());
  return handle && context &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, handle.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

std::size_t stream_key_bytes(Suite suite) {
  switch (suite) {
    case Suite::kAes128Ctr:
      return 32;
    case Suite::kAes256Ctr:
      return 48;
    case Suite::kChaCha20:
      return 44;
  }
  return 0;
}

void Keystream::ContextDeleter::operator()(evp_cipher_ctx_st* context) const noexcept {
  EVP_CIPHER_CTX_free(context);
}

Keystream::Keystream(const StreamKey& key) : context_(EVP_CIPHER_CTX_new()) {
  const std::uint8_t* material = key.material.reveal().data();
  const EVP_CIPHER* cipher = EVP_aes_128_ctr();
  std::size_t key_bytes = 16;
  if (key.suite == Suite::kAes256Ctr) cipher = EVP_aes_256_ctr();
  if (key.suite == Suite::kChaCha20) cipher = EVP_chacha20();
  if (key.suite != Suite::kAes128Ctr) key_bytes = 32;
  std::array<std::uint8_t, 16> start{};  // OpenSSL's ChaCha20: 32-bit counter, then the nonce
  if (key.suite == Suite::kChaCha20) {
    std::copy_n(material + key_bytes, 12, start.begin() + 4);
  } else {
    std::copy_n(material + key_bytes, 16, start.begin());
  }
  INK_INVARIANT(context_ &&
                EVP_EncryptInit_ex(context_.get(), cipher, nullptr, material, start.data()) == 1);
}

void Keystream::fill(std::span<std::uint8_t> out) {
  static constexpr std::array<std::uint8_t, std::size_t{1} << 14> kZeros{};
  while (!out.empty()) {
    const std::size_t take = std::min(out.size(), kZeros.size());
    int count = 0;
    INK_INVARIANT(EVP_EncryptUpdate(context_.get(), out.data(), &count, kZeros.data(),
                                    evp_length(take)) == 1);
    out = out.subspan(take);
  }
}

}  // namespace inkling::secagg
