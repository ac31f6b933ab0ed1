#include "autograd/data/balance.h"

#include <gtest/gtest.h>

#include <map>

namespace inkling {
namespace {

// 60 rows of class 0, 6 of class 2, none of class 1.
std::vector<std::uint32_t> labels() {
  std::vector<std::uint32_t> labels(66, 0);
  for (std::size_t i = 0; i < 6; ++i) labels[i * 11] = 2;
  return labels;
}

TEST(ClassWeights, MakeClassesWeighTheSame) {
  const auto weights = class_weights(labels(), 3);
  ASSERT_EQ(weights.size(), 3u);
  EXPECT_DOUBLE_EQ(60 * weights[0], 33);
  EXPECT_EQ(weights[1], 0);
  EXPECT_DOUBLE_EQ(6 * weights[2], 33);
}

TEST(BalancedRows, DrawEachClassAsOften) {
  const auto of = labels();
  const auto order = balanced_rows(of, 1, 0);
  ASSERT_EQ(order.size(), of.size());
  std::map<std::size_t, int> times;
  int small = 0;
  for (const std::size_t row : order) {
    ++times[row];
    small += of[row] == 2;
  }
  EXPECT_EQ(small, 33);
  for (const auto& [row, count] : times) {
    if (of[row] == 0) {
      EXPECT_EQ(count, 1);
    } else {
      EXPECT_TRUE(count == 5 || count == 6) << count;  // 33 draws of six rows
    }
  }
  EXPECT_EQ(order, balanced_rows(of, 1, 0));
  EXPECT_NE(order, balanced_rows(of, 1, 1));
  EXPECT_NE(order, balanced_rows(of, 2, 0));
}

}  // namespace
}  // namespace inkling
