#include "runtime/planner.h"

#include <gtest/gtest.h>

#include "runtime/base/rng.h"
#include "runtime/tensor.h"

namespace inkling {
namespace {

TEST(Planner, ReusesSpaceOfTensorsThatNeverMeet) {
  const std::vector<Lifetime> lives = {{64, 0, 1}, {64, 1, 2}, {128, 2, 4}, {64, 4, 5}};
  EXPECT_EQ(plan_arena(lives).bytes, 192u);
  EXPECT_EQ(arena_lower_bound(lives), 192u);
}

TEST(Planner, AnEmptyPlanNeedsNothing) {
  EXPECT_EQ(plan_arena({}).bytes, 0u);
  EXPECT_EQ(arena_lower_bound({}), 0u);
}

TEST(Planner, NoTwoLiveTensorsOverlap) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed, "lifetimes");
    std::vector<Lifetime> lives(1 + rng.below(60));
    for (Lifetime& life : lives) {
      const std::size_t first = rng.below(40);
      life = {rng.below(1000), first, first + rng.below(10)};
    }
    const ArenaLayout layout = plan_arena(lives);
    ASSERT_GE(layout.bytes, arena_lower_bound(lives));
    for (std::size_t i = 0; i < lives.size(); ++i) {
      ASSERT_EQ(layout.offsets[i] % kTensorAlignment, 0u);
      ASSERT_LE(layout.offsets[i] + lives[i].bytes, layout.bytes);
      for (std::size_t j = 0; j < i; ++j) {
        const bool meet = lives[i].first <= lives[j].last && lives[j].first <= lives[i].last;
        const bool apart = layout.offsets[i] + lives[i].bytes <= layout.offsets[j] ||
                           layout.offsets[j] + lives[j].bytes <= layout.offsets[i];
        ASSERT_TRUE(!meet || apart) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace inkling
