#include "storage/key_value.h"

#include <gmock/gmock.h>

#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class KeyValueTest : public ScratchTest {
 protected:
  Path file() const { return folder_ / "state.db"; }
  KeyValue open() {
    auto store = KeyValue::open(file());
    EXPECT_TRUE(store) << store.error().message;
    return *std::move(store);
  }
};

TEST_F(KeyValueTest, KeepsReplacesAndErases) {
  {
    KeyValue store = open();
    ASSERT_TRUE(store.put("patch/1", Bytes{1, 2}));
    ASSERT_TRUE(store.put("patch/2", Bytes{}));
    ASSERT_TRUE(store.put("patch/1", Bytes{3}));
  }
  KeyValue store = open();
  EXPECT_EQ(*store.get("patch/1"), Bytes{3});
  EXPECT_EQ(*store.get("patch/2"), Bytes{});
  EXPECT_THAT(*store.names("patch/"), ElementsAre("patch/1", "patch/2"));
  EXPECT_THAT(*store.names("x"), IsEmpty());
  ASSERT_TRUE(store.erase("patch/1"));
  ASSERT_TRUE(store.erase("patch/1"));
  EXPECT_EQ(store.get("patch/1").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(store.erase_all());
  EXPECT_THAT(*store.names(), IsEmpty());
}

TEST_F(KeyValueTest, ChangesAreAppliedTogetherOrNotAtAll) {
  KeyValue store = open();
  ASSERT_TRUE(store.put("record", Bytes{1}));
  ASSERT_TRUE(store.apply({{"last", Bytes{7}}, {"record"}, {"absent"}}));
  EXPECT_THAT(*store.names(), ElementsAre("last"));
  const std::string too_long(kKeyBytesMax + 1, 'k');
  EXPECT_EQ(store.apply({{"last"}, {"new", Bytes{2}}, {too_long}}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_THAT(*store.names(), ElementsAre("last"));
  EXPECT_EQ(*store.get("last"), Bytes{7});
}

TEST_F(KeyValueTest, InsertNeverReplaces) {
  KeyValue store = open();
  ASSERT_TRUE(store.insert("answered", Bytes{1}));
  EXPECT_EQ(store.insert("answered", Bytes{1}).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(store.insert("answered", Bytes{2}).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(*store.get("answered"), Bytes{1});
}

TEST_F(KeyValueTest, TakeGivesTheValueOnce) {
  KeyValue store = open();
  ASSERT_TRUE(store.put("round", Bytes{9}));
  EXPECT_EQ(*store.take("round"), Bytes{9});
  EXPECT_EQ(store.take("round").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(open().take("round").error().code, ErrorCode::kNotFound);
}

TEST_F(KeyValueTest, ErasedReplacedAndTakenSecretsAreInNoFile) {
  KeyValue store = open();
  ASSERT_TRUE(store.put("a", as_bytes("first-secret-canary")));
  ASSERT_FALSE(files_with("first-secret-canary").empty());
  ASSERT_TRUE(store.put("a", as_bytes("second-secret-canary")));
  EXPECT_THAT(files_with("first-secret-canary"), IsEmpty());
  ASSERT_TRUE(store.erase("a"));
  EXPECT_THAT(files_with("second-secret-canary"), IsEmpty());
  ASSERT_TRUE(store.insert("b", as_bytes("third-secret-canary")));
  ASSERT_TRUE(store.take("b"));
  EXPECT_THAT(files_with("third-secret-canary"), IsEmpty());
  ASSERT_TRUE(store.supersede("d", as_bytes("superseded-secret-canary")));
  ASSERT_TRUE(store.supersede("d", as_bytes("newest")));
  ASSERT_TRUE(store.apply({{"d"}}));
  EXPECT_THAT(files_with("superseded-secret-canary"), IsEmpty());
  ASSERT_TRUE(store.insert("c", as_bytes("fourth-secret-canary")));
  ASSERT_TRUE(store.erase_all());
  EXPECT_THAT(files_with("fourth-secret-canary"), IsEmpty());
}

TEST_F(KeyValueTest, LimitsHoldAtTheirBorders) {
  KeyValue store = open();
  EXPECT_TRUE(store.put(std::string(kKeyBytesMax, 'k'), {}));
  EXPECT_EQ(store.put(std::string(kKeyBytesMax + 1, 'k'), {}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(store.put("", {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store.put(std::string_view("a\0b", 3), {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(store.put("big", Bytes(kValueBytesMax)));
  EXPECT_EQ(store.put("big", Bytes(kValueBytesMax + 1)).error().code, ErrorCode::kResourceLimit);
}

TEST_F(KeyValueTest, ADamagedValueIsNamedAndKept) {
  { ASSERT_TRUE(open().put("trust", as_bytes("trusted-canary-state"))); }
  Bytes bytes = *read_file(file());
  const auto at = as_text(bytes).find("trusted-canary-state");
  ASSERT_NE(at, std::string_view::npos);
  bytes[at + 3] ^= 1;
  ASSERT_TRUE(write_file(file(), bytes));
  const auto damaged = open().get("trust");
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(damaged.error().message.find("value trust is damaged"), std::string::npos);
  EXPECT_EQ(*read_file(file()), bytes);
}

}  // namespace
}  // namespace inkling
