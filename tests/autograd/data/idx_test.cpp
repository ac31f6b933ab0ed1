#include "autograd/data/idx.h"

#include <gmock/gmock.h>

#include "autograd/data/fashion_mnist.h"

namespace inkling {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const char* const kImages = "00000803000000020000000100000003010203040506";
const char* const kLabels = "0000080100000003090807";

TEST(Idx, ReadsImagesAndLabels) {
  const auto images = parse_idx_images(*from_hex(kImages));
  ASSERT_TRUE(images) << images.error().message;
  EXPECT_EQ(images->count, 2u);
  EXPECT_EQ(images->height, 1u);
  EXPECT_EQ(images->width, 3u);
  EXPECT_EQ(images->channels, 1u);
  EXPECT_THAT(images->image(1), ElementsAre(4, 5, 6));
  EXPECT_THAT(*parse_idx_labels(*from_hex(kLabels)), ElementsAre(9, 8, 7));
}

TEST(Idx, RefusesEveryTruncationAndTrailingBytes) {
  Bytes bytes = *from_hex(kImages);
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_EQ(parse_idx_images(ByteSpan(bytes).first(n)).error().code, ErrorCode::kCorrupt) << n;
  bytes.push_back(7);
  EXPECT_THAT(parse_idx_images(bytes).error().message, HasSubstr("7 elements, the header says 6"));
}

TEST(Idx, RefusesOtherTypesDimensionsAndSizes) {
  EXPECT_FALSE(parse_idx_labels(*from_hex(kImages)));
  EXPECT_THAT(parse_idx_images(*from_hex(kLabels)).error().message, HasSubstr("bytes"));
  for (std::size_t byte = 0; byte < 16; ++byte) {
    Bytes bad = *from_hex(kImages);
    bad[byte] ^= 0x80;
    EXPECT_EQ(parse_idx_images(bad).error().code, ErrorCode::kCorrupt) << byte;
  }
  const Bytes huge = *from_hex("00000803ffffffffffffffffffffffff");
  EXPECT_THAT(parse_idx_images(huge).error().message, HasSubstr("too large"));
}

TEST(FashionMnist, AMissingFileNamesThePackage) {
  const auto missing = load_fashion_mnist(DataSplit::kTrain, "/nowhere");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(missing.error().message,
            "fashion-mnist: /nowhere/train-images-idx3-ubyte.gz is missing: "
            "apt install dataset-fashion-mnist");
}

TEST(FashionMnist, HasTenBalancedClassesInBothSplits) {
  if (!std::filesystem::exists(Path(kFashionMnistFolder)))
    GTEST_SKIP() << "no Fashion-MNIST: apt install dataset-fashion-mnist";
  for (const auto& [split, count] :
       {std::pair{DataSplit::kTrain, 60'000u}, std::pair{DataSplit::kTest, 10'000u}}) {
    const auto data = load_fashion_mnist(split);
    ASSERT_TRUE(data) << data.error().message;
    EXPECT_EQ(data->images.count, count);
    EXPECT_EQ(data->images.height, 28u);
    EXPECT_EQ(data->images.width, 28u);
    std::vector<unsigned> of_class(kFashionMnistClasses.size());
    for (const std::uint8_t label : data->labels) ++of_class[label];
    EXPECT_THAT(of_class, Each(count / 10));
  }
  const auto test = load_fashion_mnist(DataSplit::kTest);
  EXPECT_EQ(kFashionMnistClasses[test->labels[0]], "ankle boot");
}

}  // namespace
}  // namespace inkling
