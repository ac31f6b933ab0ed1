#include "runtime/base/sha256.h"

#include <gtest/gtest.h>

namespace inkling {
namespace {

// FIPS 180-4 example values (NIST, "Examples with Intermediate Values").
TEST(Sha256, MatchesThePublishedVectors) {
  EXPECT_EQ(to_hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const Bytes million(1000000, 'a');
  EXPECT_EQ(to_hex(sha256(million)),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnHowTheBytesArrive) {
  Bytes bytes(300);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const ByteSpan all(bytes);
    EXPECT_EQ(Sha256().update(all.first(cut)).update(all.subspan(cut)).finish(), sha256(bytes))
        << cut;
  }
}

}  // namespace
}  // namespace inkling
