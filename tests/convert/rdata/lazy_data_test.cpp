#include "convert/rdata/lazy_data.h"

#include <gmock/gmock.h>

#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using ::testing::HasSubstr;

constexpr const char* kStem = "/usr/lib/R/site-library/dslabs/data/Rdata";

class LazyData : public ScratchTest {};

TEST_F(LazyData, ReadsOneObjectOfAPackage) {
  const auto table = read_lazy_data(kStem, "movielens");
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_THAT(table->names(), ::testing::ElementsAre("movieId", "title", "year", "genres", "userId",
                                                     "rating", "timestamp"));
  EXPECT_EQ((*table->field("movieId"))->numbers()->size(), 100'004u);
  EXPECT_EQ((*table->field("movieId"))->numbers()->at(0), 31);  // as R prints it
}

TEST_F(LazyData, WhatIsMissingOrDamagedIsNamed) {
  EXPECT_EQ(read_lazy_data(folder_ / "none", "x").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(read_lazy_data(kStem, "nothing").error().message, HasSubstr("no member nothing"));
  const Bytes index = *read_file(concat(kStem, ".rdx")), data = *read_file(concat(kStem, ".rdb"));
  ASSERT_TRUE(write_file(folder_ / "cut.rdx", index));
  ASSERT_TRUE(write_file(folder_ / "cut.rdb", ByteSpan(data).first(1000)));
  EXPECT_THAT(read_lazy_data(folder_ / "cut", "movielens").error().message,
              HasSubstr("outside the 1000 bytes"));
  Bytes damaged = data;
  for (std::size_t i = 0; i < damaged.size(); i += 97) damaged[i] ^= 0x5a;
  ASSERT_TRUE(write_file(folder_ / "bad.rdx", index));
  ASSERT_TRUE(write_file(folder_ / "bad.rdb", damaged));
  EXPECT_FALSE(read_lazy_data(folder_ / "bad", "movielens"));
}

}  // namespace
}  // namespace inkling
