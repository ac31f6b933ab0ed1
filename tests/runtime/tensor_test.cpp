#include "runtime/tensor.h"

#include <gtest/gtest.h>

namespace inkling {
namespace {

TEST(Shape, CountsElementsAndPrints) {
  EXPECT_EQ(Shape({2, 3}).elements(), 6);
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ(Shape({4, 0}).elements(), 0);
  EXPECT_EQ(concat(TensorSpec{DType::kF32, {2, 3}}), "f32[2, 3]");
}

TEST(Shape, RefusesWhatNoTensorCanBe) {
  EXPECT_EQ(Shape::from(std::vector<std::int64_t>{2, -1}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_TRUE(Shape::from(std::vector<std::int64_t>(kRankMax, 1)));
  EXPECT_EQ(Shape::from(std::vector<std::int64_t>(kRankMax + 1, 1)).error().code,
            ErrorCode::kResourceLimit);
  EXPECT_TRUE(Shape::from(std::vector<std::int64_t>{kElementsMax}));
  EXPECT_EQ(Shape::from(std::vector<std::int64_t>{kElementsMax, 2}).error().code,
            ErrorCode::kResourceLimit);
  EXPECT_EQ(Shape::from(std::vector<std::int64_t>(3, INT64_MAX)).error().code,
            ErrorCode::kResourceLimit);
}

TEST(Tensor, OwnsAlignedBytesAndClones) {
  Tensor a = Tensor::from<float>({3}, {1, 2, 3});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.raw()) % kTensorAlignment, 0u);
  const Tensor b = a.clone();
  a.mutable_data<float>()[0] = 9;
  EXPECT_EQ(b.data<float>()[0], 1);
}

TEST(Tensor, BorrowedBytesKeepTheirOwnerAlive) {
  auto owner = std::make_shared<std::vector<float>>(4, 2.5f);
  std::weak_ptr<std::vector<float>> watch = owner;
  Tensor tensor = Tensor::borrow({DType::kF32, {4}}, owner->data(), owner);
  owner.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(tensor.data<float>()[3], 2.5f);
  tensor = Tensor();
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace inkling
