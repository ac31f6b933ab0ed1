#include "runtime/base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace inkling {
namespace {

TEST(Rng, IsAFunctionOfSeedPurposeAndIndex) {
  Rng a(1, "shuffle", 2), same(1, "shuffle", 2), seed(2, "shuffle", 2), purpose(1, "init", 2),
      index(1, "shuffle", 3);
  const std::uint64_t draw = a.next_u64();
  EXPECT_EQ(draw, same.next_u64());
  EXPECT_NE(draw, seed.next_u64());
  EXPECT_NE(draw, purpose.next_u64());
  EXPECT_NE(draw, index.next_u64());
}

TEST(Rng, UniformAndNormalHaveTheirMoments) {
  constexpr int kDraws = 100000;
  Rng rng(7, "moments");
  double sum = 0, square = 0, uniform = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.normal();
    sum += x;
    square += x * x;
    uniform += rng.uniform();
  }
  // Five standard errors of each estimator.
  EXPECT_NEAR(sum / kDraws, 0.0, 5 / std::sqrt(double(kDraws)));
  EXPECT_NEAR(square / kDraws, 1.0, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(uniform / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
}

TEST(Rng, BelowReachesEveryValueEvenly) {
  std::vector<int> counts(7);
  Rng rng(3, "below");
  for (int i = 0; i < 70000; ++i) ++counts[rng.below(7)];
  double chi_square = 0;
  for (const int n : counts) chi_square += (n - 10000.0) * (n - 10000.0) / 10000.0;
  EXPECT_LT(chi_square, 22.5);  // 99.9 % quantile at 6 degrees of freedom
}

TEST(Rng, ShuffleKeepsTheElements) {
  std::vector<int> values(100);
  std::iota(values.begin(), values.end(), 0);
  std::vector<int> shuffled = values;
  Rng(1, "shuffle").shuffle(shuffled);
  EXPECT_NE(values, shuffled);
  std::sort(shuffled.begin(), shuffled.end());
  EXPECT_EQ(values, shuffled);
}

}  // namespace
}  // namespace inkling
