#include <gtest/gtest.h>

#include "autograd/data/augmentation.h"

namespace inkling {
namespace {

// Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1)).
TEST(Mixup, DrawsFromTheBetaDistribution) {
  constexpr int kDraws = 20000;
  for (const double alpha : {0.001, 0.2, 1.0, 4.0}) {
    Rng rng(3, "mixup");
    double sum = 0, squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double share = draw_mixup(alpha, rng);
      ASSERT_GE(share, 0);
      ASSERT_LE(share, 1);
      sum += share;
      squares += (share - 0.5) * (share - 0.5);
    }
    // Five standard errors of at most 0.5 / sqrt(20000).
    if (alpha > 0.1) {
      EXPECT_NEAR(sum / kDraws, 0.5, 0.018) << alpha;
    }
    EXPECT_NEAR(squares / kDraws, 1 / (4 * (2 * alpha + 1)), 0.01) << alpha;
  }
}

TEST(Mixup, MixesEachRowWithTheNext) {
  std::vector<float> rows = {0, 0, 4, 8, 8, 16};
  mix_rows(rows, 3, 0.75);
  EXPECT_EQ(rows, (std::vector<float>{1, 2, 5, 10, 6, 12}));
  mix_rows(rows, 1, 0.3);  // by itself
  EXPECT_FLOAT_EQ(rows[0], 1);
  EXPECT_FLOAT_EQ(rows[5], 12);
}

}  // namespace
}  // namespace inkling
