#include "storage/model_store.h"

#include "tests/storage/scratch.h"

namespace inkling {
namespace {

class ModelStoreTest : public ScratchTest {
 protected:
  ModelStore open() {
    auto store = ModelStore::open(folder_ / "ranker");
    EXPECT_TRUE(store) << store.error().message;
    return *std::move(store);
  }
  int files() const {
    int n = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "ranker"))
      if (entry.path().extension() == ".model") ++n;
    return n;
  }
};

TEST_F(ModelStoreTest, TheLatestVersionIsCurrentAfterReopening) {
  {
    ModelStore store = open();
    EXPECT_EQ(store.current().error().code, ErrorCode::kNotFound);
    ASSERT_TRUE(store.put(1, Bytes{1}));
    ASSERT_TRUE(store.put(7, Bytes{7, 7}));
  }
  ModelStore store = open();
  const auto model = store.current();
  ASSERT_TRUE(model);
  EXPECT_EQ(model->version, 7u);
  EXPECT_EQ(model->bytes, 2u);
  EXPECT_EQ(model->digest, sha256(Bytes{7, 7}));
  EXPECT_EQ(*read_file(model->file), (Bytes{7, 7}));
  EXPECT_EQ(*store.load(), (Bytes{7, 7}));
}

TEST_F(ModelStoreTest, RefusesOldVersionsAndOtherBytesUnderAKnownOne) {
  ModelStore store = open();
  ASSERT_TRUE(store.put(5, Bytes{5}));
  EXPECT_EQ(store.put(4, Bytes{4}).error().code, ErrorCode::kVerification);
  EXPECT_EQ(store.put(5, Bytes{6}).error().code, ErrorCode::kVerification);
  EXPECT_EQ(store.put(~std::uint64_t{0}, Bytes{6}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store.put(5, Bytes{5})->version, 5u);
  EXPECT_EQ(*store.load(), Bytes{5});
}

TEST_F(ModelStoreTest, RollsBackOnceAndNeverForward) {
  ModelStore store = open();
  ASSERT_TRUE(store.put(1, Bytes{1}));
  EXPECT_EQ(store.load_previous().error().code, ErrorCode::kFailedPrecondition);
  ASSERT_TRUE(store.put(2, Bytes{2}));
  EXPECT_EQ(*store.load_previous(), Bytes{1});
  EXPECT_EQ(store.rollback()->version, 1u);
  EXPECT_EQ(store.load_previous().error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(*store.load(), Bytes{1});
  EXPECT_EQ(store.put(2, Bytes{2}).error().code, ErrorCode::kVerification);
  EXPECT_EQ(store.put(1, Bytes{1})->version, 1u);
  EXPECT_EQ(store.rollback().error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(open().current()->version, 1u);
  ASSERT_TRUE(store.put(3, Bytes{3}));
  EXPECT_EQ(*store.load_previous(), Bytes{1});  // 2 is withdrawn
  EXPECT_EQ(store.rollback()->version, 1u);
}

TEST_F(ModelStoreTest, KeepsThreeFilesAndSweepsWhatACrashLeft) {
  ModelStore store = open();
  for (std::uint8_t v = 1; v <= 6; ++v) ASSERT_TRUE(store.put(v, Bytes{v}));
  EXPECT_EQ(files(), 3);
  ASSERT_TRUE(write_file(folder_ / "ranker" / "99.model", Bytes{1}));
  EXPECT_EQ(open().current()->version, 6u);
  EXPECT_EQ(files(), 3);
  EXPECT_EQ(store.rollback()->version, 5u);
  EXPECT_EQ(store.rollback()->version, 4u);
  EXPECT_EQ(store.rollback().error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(ModelStoreTest, ADamagedFileIsNoticedAndCanBeLeft) {
  ModelStore store = open();
  ASSERT_TRUE(store.put(1, Bytes{1}));
  ASSERT_TRUE(store.put(2, Bytes{2}));
  ASSERT_TRUE(write_file(store.current()->file, Bytes{3}));
  EXPECT_EQ(store.load().error().code, ErrorCode::kCorrupt);
  ASSERT_TRUE(store.rollback());
  EXPECT_EQ(*store.load(), Bytes{1});
}

}  // namespace
}  // namespace inkling
