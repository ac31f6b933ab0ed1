#include "rerank/patch.h"

#include <limits>

#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using PatchStore = ScratchTest;

Patch some_patch() {
  return {.base = sha256(as_bytes("base")), .delta = {0.5f, -1.25f, 0.0f, 3e-9f}};
}

TEST(Patch, SurvivesTheRoundTrip) {
  for (const Patch& patch : {some_patch(), Patch{}}) {
    const auto decoded = decode_patch(*encode_patch(patch));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, patch);
  }
}

TEST(Patch, EveryFlippedBitIsRefused) {
  const Bytes good = *encode_patch(some_patch());
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    const auto decoded = decode_patch(bad);
    ASSERT_FALSE(decoded) << "bit " << bit;
    EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt);
  }
}

TEST(Patch, EveryOtherLengthIsRefused) {
  const Bytes good = *encode_patch(some_patch());
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_patch(ByteSpan(good).first(size))) << size;
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(decode_patch(longer));
}

TEST(Patch, ADigestDoesNotExcuseNonsense) {
  const auto resealed = [](std::size_t at, std::uint8_t value) {
    const Bytes good = *encode_patch(some_patch());
    Bytes bytes(good.begin(), good.end() - 32);
    bytes[at] = value;
    const Sha256Digest digest = sha256(bytes);
    bytes.insert(bytes.end(), digest.begin(), digest.end());
    return decode_patch(bytes).error().code;
  };
  EXPECT_EQ(resealed(0, 'J'), ErrorCode::kCorrupt);
  EXPECT_EQ(resealed(8, 2), ErrorCode::kUnsupported);
  EXPECT_EQ(resealed(12, 5), ErrorCode::kCorrupt);     // count
  EXPECT_EQ(resealed(15, 0xff), ErrorCode::kCorrupt);  // a huge count
}

TEST(Patch, RefusesNumbersThatAreNotFinite) {
  Patch patch = some_patch();
  patch.delta[1] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(encode_patch(patch).error().code, ErrorCode::kInvalidArgument);
}

TEST(Patch, LimitHoldsAtTheBorder) {
  Patch patch{.delta = std::vector<float>(kPatchFloatsMax)};
  EXPECT_TRUE(decode_patch(*encode_patch(patch)));
  patch.delta.push_back(0);
  EXPECT_EQ(encode_patch(patch).error().code, ErrorCode::kResourceLimit);
}

TEST(Patch, BelongsToOneBaseOfOneSize) {
  const Patch patch = some_patch();
  EXPECT_TRUE(check_patch(patch, patch.base, 4));
  EXPECT_EQ(check_patch(patch, sha256(as_bytes("other")), 4).error().code,
            ErrorCode::kVerification);
  EXPECT_EQ(check_patch(patch, patch.base, 5).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(PatchStore, KeepsThePatchUntilItIsDropped) {
  auto store = KeyValue::open(folder_ / "patch.sqlite");
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ(load_patch(*store).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(save_patch(*store, some_patch()));
  EXPECT_EQ(*load_patch(*store), some_patch());
  ASSERT_TRUE(drop_patch(*store));
  EXPECT_EQ(load_patch(*store).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace inkling
