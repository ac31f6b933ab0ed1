#include "runtime/tensor.h"

#include <gtest/gtest.h>

#include <cmath>

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

TEST(Half, EveryValueSurvivesAndRoundingIsToTheNearestEven) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Half half{static_cast<std::uint16_t>(bits)};
    const float value = to_float(half);
    if (value != value) continue;
    ASSERT_EQ(to_half(value).bits, bits);
    if ((bits & 0x7fffu) >= 0x7bffu) continue;  // no finite neighbour above
    const float next = to_float(Half{static_cast<std::uint16_t>(bits + 1)});
    const std::uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(to_half((value + next) / 2).bits, even);
  }
  EXPECT_EQ(to_half(65519.996f).bits, 0x7bffu);
  EXPECT_EQ(to_half(65520.0f).bits, 0x7c00u);
  EXPECT_EQ(to_half(1e-8f).bits, 0u);
  EXPECT_NE(to_float(to_half(NAN)), to_float(to_half(NAN)));
  EXPECT_EQ(to_float(to_bfloat16(1.00390625f)), 1.0f);  // halfway: to even
  EXPECT_EQ(to_float(to_bfloat16(1.01171875f)), 1.015625f);
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
