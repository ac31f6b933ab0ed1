#include "runtime/base/bytes.h"

#include <gtest/gtest.h>

namespace inkling {
namespace {

TEST(Bytes, WriterAndReaderAreInverse) {
  ByteWriter writer;
  writer.u8(7);
  writer.u32(0x01020304);
  writer.u64(0x1122334455667788);
  writer.text("ink");
  EXPECT_EQ(to_hex(writer.bytes()), "07040302018877665544332211696e6b");
  ByteReader reader(writer.bytes());
  EXPECT_EQ(reader.u8(), 7);
  EXPECT_EQ(reader.u32(), 0x01020304u);
  EXPECT_EQ(reader.u64(), 0x1122334455667788u);
  EXPECT_EQ(as_text(reader.raw(3)), "ink");
  EXPECT_TRUE(reader.finished());
}

TEST(Bytes, AShortReadLatchesAndReadsZero) {
  const Bytes two = {1, 2};
  ByteReader reader(two);
  EXPECT_EQ(reader.u32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_FALSE(reader.finished());
}

TEST(Bytes, TrailingBytesAreNotFinished) {
  const Bytes two = {1, 2};
  ByteReader reader(two);
  reader.u8();
  EXPECT_TRUE(reader.ok());
  EXPECT_FALSE(reader.finished());
}

TEST(Hex, RoundTripsAndRejectsOtherCharacters) {
  EXPECT_EQ(*from_hex("00fFa1"), (Bytes{0x00, 0xff, 0xa1}));
  EXPECT_EQ(from_hex("abc").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(from_hex("zz").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling
