#include "runtime/base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace inkling {
namespace {

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / concat("inkling_file_test_", ::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  Path folder_;
};

TEST_F(FileTest, WritesReadsAndMapsTheSameBytes) {
  const Path path = folder_ / "deep" / "file";
  const Bytes bytes = {1, 2, 3};
  ASSERT_TRUE(write_file(path, bytes));
  EXPECT_EQ(*read_file(path), bytes);
  auto map = MappedFile::open(path);
  ASSERT_TRUE(map);
  EXPECT_EQ(Bytes((*map)->bytes().begin(), (*map)->bytes().end()), bytes);
}

TEST_F(FileTest, ReplacesAndLeavesNoTemporaryFile) {
  const Path path = folder_ / "file";
  ASSERT_TRUE(write_file(path, Bytes(100, 1)));
  ASSERT_TRUE(write_file(path, Bytes(1, 2)));
  EXPECT_EQ(*read_file(path), Bytes(1, 2));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(FileTest, NamesTheFileThatIsMissing) {
  const auto missing = read_file(folder_ / "none");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("none"), std::string::npos);
}

TEST_F(FileTest, RefusesAFileOverTheLimitAndAFolder) {
  const Path path = folder_ / "file";
  ASSERT_TRUE(write_file(path, Bytes(10)));
  EXPECT_TRUE(read_file(path, 10));
  EXPECT_EQ(read_file(path, 9).error().code, ErrorCode::kResourceLimit);
  EXPECT_EQ(read_file(folder_).error().code, ErrorCode::kIo);
}

TEST_F(FileTest, MapsAnEmptyFile) {
  const Path path = folder_ / "empty";
  ASSERT_TRUE(write_file(path, {}));
  auto map = MappedFile::open(path);
  ASSERT_TRUE(map);
  EXPECT_TRUE((*map)->bytes().empty());
}

}  // namespace
}  // namespace inkling
