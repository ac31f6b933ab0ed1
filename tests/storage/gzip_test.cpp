#include "storage/compression/gzip.h"

#include <gtest/gtest.h>

namespace inkling {
namespace {

// printf hello | gzip -n9
const char* const kHello = "1f8b0800000000000203cb48cdc9c9070086a6103605000000";

TEST(Gzip, ExpandsOneMemberAndSeveral) {
  Bytes bytes = *from_hex(kHello);
  EXPECT_TRUE(is_gzip(bytes));
  EXPECT_EQ(as_text(*gunzip(bytes, 5)), "hello");
  const Bytes once = bytes;
  bytes.insert(bytes.end(), once.begin(), once.end());
  EXPECT_EQ(as_text(*gunzip(bytes, 10)), "hellohello");
}

TEST(Gzip, StopsAtTheLimit) {
  EXPECT_EQ(gunzip(*from_hex(kHello), 4).error().code, ErrorCode::kResourceLimit);
}

TEST(Gzip, RefusesEveryTruncationAndNoBitFlipChangesTheText) {
  const Bytes good = *from_hex(kHello);
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_EQ(gunzip(ByteSpan(good).first(n), 100).error().code, ErrorCode::kCorrupt) << n;
  for (std::size_t bit = 10 * 8; bit < good.size() * 8; ++bit) {  // after the header's free fields
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    const auto out = gunzip(bad, 100);
    EXPECT_TRUE(!out || as_text(*out) == "hello") << bit;  // padding bits mean nothing
  }
}

TEST(Gzip, RefusesTrailingBytes) {
  Bytes bytes = *from_hex(kHello);
  bytes.push_back(0);
  EXPECT_EQ(gunzip(bytes, 100).error().code, ErrorCode::kCorrupt);
}

TEST(Zlib, ExpandsAStreamAndNothingMore) {
  Bytes bytes = *from_hex("789ccb48cdc9c90700062c0215");
  EXPECT_EQ(as_text(*inflate_zlib(bytes, 5)), "hello");
  bytes.push_back(0);
  EXPECT_EQ(inflate_zlib(bytes, 5).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace inkling
