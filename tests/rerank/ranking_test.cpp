#include "rerank/ranking.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "runtime/base/rng.h"

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(Ranking, BestFirst) {
  EXPECT_THAT(rank_by_score(std::vector<float>{1, 3, 2}), ElementsAre(1, 2, 0));
  EXPECT_THAT(rank_by_score({}), IsEmpty());
}

TEST(Ranking, TiesKeepTheServersOrder) {
  EXPECT_THAT(rank_by_score(std::vector<float>{1, 2, 1, 2, 0.0f, -0.0f}),
              ElementsAre(1, 3, 0, 2, 4, 5));
  const auto order = rank_by_score(std::vector<float>(1000, 0.5f));
  for (std::uint32_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], i);
}

TEST(Ranking, NanGoesLastAndInfinitiesAreNumbers) {
  EXPECT_THAT(rank_by_score(std::vector<float>{NAN, -kInf, 0, kInf, NAN}),
              ElementsAre(3, 2, 1, 0, 4));
}

TEST(Ranking, IsAPermutationInOrderForAnyScores) {
  Rng rng(1, "ranking");
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<float> scores(rng.below(40));
    for (float& s : scores) s = rng.below(8) == 0 ? NAN : static_cast<float>(rng.below(5)) - 2.0f;
    const auto order = rank_by_score(scores);
    auto sorted = order;
    std::sort(sorted.begin(), sorted.end());
    for (std::uint32_t i = 0; i < sorted.size(); ++i) ASSERT_EQ(sorted[i], i);
    for (std::size_t i = 1; i < order.size(); ++i) {
      const float a = scores[order[i - 1]], b = scores[order[i]];
      const bool tied = a == b || (std::isnan(a) && std::isnan(b));
      ASSERT_TRUE(tied ? order[i - 1] < order[i] : (a > b || std::isnan(b)));
    }
  }
}

}  // namespace
}  // namespace inkling
