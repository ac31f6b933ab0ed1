#include "federated/secagg/crypto.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "federated/secagg/schedule.h"
#include "tests/federated/golden.h"
#include "tests/federated/test_entropy.h"

namespace inkling::secagg {
namespace {

Secret<32> secret_of(const std::string& hex) { return Secret<32>::copy_of(hex_array<32>(hex)); }

TEST(Crypto, X25519AgreesWithRfc7748) {
  const std::string v = "/x25519_rfc7748_6.1/";
  const auto a = AgreementKey::from_secret(secret_of(golden_text(v + "a_sk")));
  const auto b = AgreementKey::from_secret(secret_of(golden_text(v + "b_sk")));
  EXPECT_EQ(to_hex(a.public_key()), golden_text(v + "a_pk"));
  EXPECT_EQ(to_hex(b.public_key()), golden_text(v + "b_pk"));
  EXPECT_EQ(to_hex(a.agree(b.public_key())->reveal()), golden_text(v + "shared"));
  EXPECT_EQ(to_hex(b.agree(a.public_key())->reveal()), golden_text(v + "shared"));
}

TEST(Crypto, X25519RefusesLowOrderPoints) {
  TestEntropy entropy(1);
  const auto key = AgreementKey::generate(entropy).value();
  // 0, 1, and a point of order 8 (RFC 7748 section 7, and the list of Bernstein's curve25519 page).
  for (const char* point : {"0000000000000000000000000000000000000000000000000000000000000000",
                            "0100000000000000000000000000000000000000000000000000000000000000",
                            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"}) {
    const auto shared = key.agree(hex_array<32>(point));
    ASSERT_FALSE(shared) << point;
    EXPECT_EQ(shared.error().code, ErrorCode::kVerification);
  }
}

TEST(Crypto, HkdfAgreesWithRfc5869) {
  const std::string v = "/hkdf_sha256_rfc5869_A1/";
  Bytes okm(42);
  hkdf(hex_bytes(golden_text(v + "ikm")), hex_bytes(golden_text(v + "salt")),
       hex_bytes(golden_text(v + "info")), okm);
  EXPECT_EQ(to_hex(okm), golden_text(v + "okm"));

  Bytes ikm, salt, info, long_okm(82);
  for (unsigned i = 0; i < 80; ++i) {
    ikm.push_back(static_cast<std::uint8_t>(i));
    salt.push_back(static_cast<std::uint8_t>(0x60 + i));
    info.push_back(static_cast<std::uint8_t>(0xb0 + i));
  }
  hkdf(ikm, salt, info, long_okm);
  EXPECT_EQ(to_hex(long_okm), golden_text("/hkdf_sha256_rfc5869_A2_okm"));

  hkdf(hex_bytes(golden_text(v + "ikm")), {}, {}, okm);
  EXPECT_EQ(to_hex(okm), golden_text("/hkdf_sha256_rfc5869_A3_okm"));
}

TEST(Crypto, AesCtrCarriesAcrossCounterBytes) {
  const std::string v = "/aes_ctr_sp800_38a/";
  const Bytes plain = hex_bytes(golden_text(v + "pt"));
  for (const auto& [suite, name] : {std::pair(Suite::kAes128Ctr, std::string("F5_1")),
                                    std::pair(Suite::kAes256Ctr, std::string("F5_5"))}) {
    Bytes material = hex_bytes(golden_text(v + name + "_key"));
    const Bytes iv = hex_bytes(golden_text(v + "iv"));
    material.insert(material.end(), iv.begin(), iv.end());
    StreamKey key{.suite = suite, .material = {}};
    std::copy(material.begin(), material.end(), key.material.writable().begin());
    Bytes stream(plain.size());
    Keystream keystream(key);
    keystream.fill(std::span(stream).first(5));  // and it goes on where it stopped
    keystream.fill(std::span(stream).subspan(5));
    for (std::size_t i = 0; i < stream.size(); ++i) stream[i] ^= plain[i];
    EXPECT_EQ(to_hex(stream), golden_text(v + name + "_ct"));
  }
}

// RFC 8439 section 2.3.2 has counter 1; block 0 of that key and nonce is skipped here.
TEST(Crypto, ChaCha20AgreesWithRfc8439) {
  StreamKey key{.suite = Suite::kChaCha20, .material = {}};
  for (std::uint8_t i = 0; i < 32; ++i) key.material.writable()[i] = i;
  key.material.writable()[35] = 0x09;
  key.material.writable()[39] = 0x4a;
  Bytes stream(128);
  Keystream(key).fill(stream);
  EXPECT_EQ(to_hex(ByteSpan(stream).subspan(64, 16)), "10f1e7e4d13b5915500fdd1fa32071c4");
}

TEST(Crypto, GcmAgreesWithTheSpecification) {
  const std::string v = "/aes256_gcm_tc16/";
  const Bytes box =
      gcm_seal(hex_bytes(golden_text(v + "key")), hex_array<12>(golden_text(v + "iv")),
               hex_bytes(golden_text(v + "aad")), hex_bytes(golden_text(v + "pt")));
  EXPECT_EQ(to_hex(box), golden_text(v + "ct") + golden_text(v + "tag"));
}

TEST(Crypto, ASealedBoxOpensOnlyWhole) {
  const Secret<32> key = Secret<32>::copy_of(hash_of({as_bytes("key")}));
  const Bytes box = seal_once(key, as_bytes("aad"), as_bytes("plaintext"));
  const auto opened = open_once(key, as_bytes("aad"), box);
  ASSERT_TRUE(opened);
  EXPECT_EQ(as_text(*opened), "plaintext");
  EXPECT_FALSE(open_once(key, as_bytes("aae"), box));
  EXPECT_FALSE(open_once(Secret<32>(), as_bytes("aad"), box));
  for (std::size_t i = 0; i < box.size(); ++i) {
    Bytes changed = box;
    changed[i] ^= 1;
    EXPECT_FALSE(open_once(key, as_bytes("aad"), changed)) << i;
    EXPECT_FALSE(open_once(key, as_bytes("aad"), ByteSpan(box).first(i))) << i;
  }
}

TEST(Crypto, Ed25519AgreesWithRfc8032) {
  for (const char* name : {"ed25519_rfc8032_test1", "ed25519_rfc8032_test2"}) {
    const std::string v = std::string("/") + name + "/";
    const auto key = SigningKey::from_seed(secret_of(golden_text(v + "seed")));
    EXPECT_EQ(to_hex(key.public_key()), golden_text(v + "pk"));
    Signature signature = key.sign(hex_bytes(golden_text(v + "msg")));
    EXPECT_EQ(to_hex(signature), golden_text(v + "sig"));
    EXPECT_TRUE(signature_holds(key.public_key(), hex_bytes(golden_text(v + "msg")), signature));
    signature[5] ^= 4;
    EXPECT_FALSE(signature_holds(key.public_key(), hex_bytes(golden_text(v + "msg")), signature));
  }
}

TEST(Crypto, SecretsMoveAndAreWiped) {
  static_assert(!std::is_copy_constructible_v<Secret<32>>);
  static_assert(!std::is_copy_assignable_v<Secret<32>>);
  Secret<4> a = Secret<4>::copy_of(std::array<std::uint8_t, 4>{1, 2, 3, 4});
  const Secret<4> b = std::move(a);
  EXPECT_TRUE(a.equals(Secret<4>()));  // NOLINT: what is left behind is the claim
  EXPECT_EQ(to_hex(b.reveal()), "01020304");
  EXPECT_FALSE(b.equals(Secret<4>()));
}

TEST(Schedule, MatchesTheProposedChain) {
  const std::string v = "/proposed_chain/";
  const Hash ctx = hash_of({as_bytes(golden_text(v + "ctx_sha256_of"))});
  EXPECT_EQ(to_hex(ctx), golden_text(v + "ctx"));
  const Secret<32> shared = secret_of(golden_text("/x25519_rfc7748_6.1/shared"));
  for (const auto& [u, w] : {std::pair(3u, 7u), std::pair(7u, 3u)}) {
    const StreamKey key = pair_mask_key(Suite::kAes128Ctr, shared, ctx, u, w);
    EXPECT_EQ(to_hex(key.material.reveal().first(32)), golden_text(v + "okm"));
    Bytes stream(32);
    Keystream(key).fill(stream);
    EXPECT_EQ(to_hex(stream), golden_text(v + "keystream32"));
  }
}

TEST(Schedule, KeysDifferByPurposeDirectionIndexAndContext) {
  const Secret<32> shared = Secret<32>::copy_of(hash_of({as_bytes("shared")}));
  const Hash ctx = hash_of({as_bytes("ctx")}), other = hash_of({as_bytes("other")});
  std::vector<std::string> keys;
  for (const Hash& c : {ctx, other}) {
    keys.push_back(to_hex(share_key(shared, c, 1, 2).reveal()));
    keys.push_back(to_hex(share_key(shared, c, 2, 1).reveal()));
    for (const StreamKey& key : {pair_mask_key(Suite::kAes128Ctr, shared, c, 1, 2),
                                 pair_mask_key(Suite::kAes128Ctr, shared, c, 1, 3),
                                 self_mask_key(Suite::kAes128Ctr, shared, c, 1)}) {
      keys.push_back(to_hex(key.material.reveal().first(32)));
    }
  }
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(std::adjacent_find(keys.begin(), keys.end()), keys.end());
}

}  // namespace
}  // namespace inkling::secagg
