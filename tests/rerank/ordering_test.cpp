// Everything that turns scores into another order than theirs: diversity, guardrails, exploration.

#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <numeric>

#include "rerank/diversity.h"
#include "rerank/exploration.h"
#include "rerank/guardrails.h"

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Order = std::vector<std::uint32_t>;

const std::vector<float> kScores = {3, 2.9f, 2.8f, 1};
const std::vector<float> kVectors = {1, 0, 1, 0, 0, 1, 0, 1};  // two pairs of equal items

TEST(Mmr, TradesScoreForUnlikeness) {
  EXPECT_THAT(*rank_by_mmr(kScores, {kVectors, 2}, 1, 4), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(*rank_by_mmr(kScores, {kVectors, 2}, 0.5, 4), ElementsAre(0, 2, 1, 3));
  EXPECT_THAT(*rank_by_mmr(kScores, {kVectors, 2}, 0.5, 1), ElementsAre(0, 1, 2, 3));
  EXPECT_FALSE(rank_by_mmr(kScores, {kVectors, 2}, 1.5, 4));
  EXPECT_FALSE(rank_by_mmr(kScores, {kVectors, 3}, 0.5, 4));
}

double determinant(std::vector<std::vector<double>> m) {
  double product = 1;
  for (std::size_t k = 0; k < m.size(); ++k) {
    product *= m[k][k];
    for (std::size_t i = k + 1; i < m.size(); ++i) {
      const double f = m[i][k] / m[k][k];
      for (std::size_t j = k; j < m.size(); ++j) m[i][j] -= f * m[k][j];
    }
  }
  return product;
}

TEST(Dpp, EachPlaceMaximisesTheDeterminant) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed, "dpp");
    const std::size_t n = 12, width = 8, places = 5;
    std::vector<float> scores(n), vectors(n * width);
    for (float& v : scores) v = static_cast<float>(rng.normal());
    for (float& v : vectors) v = static_cast<float>(rng.normal());
    const auto order = rank_by_dpp(scores, {vectors, width}, 1.5, places);
    ASSERT_TRUE(order);
    const auto kernel = [&](std::size_t a, std::size_t b) {
      double ab = 0, aa = 0, bb = 0;
      for (std::size_t k = 0; k < width; ++k) {
        const double x = vectors[a * width + k], y = vectors[b * width + k];
        ab += x * y;
        aa += x * x;
        bb += y * y;
      }
      return ab / std::sqrt(aa * bb) * std::exp(1.5 * (scores[a] + scores[b]) / 2);
    };
    std::vector<std::uint32_t> chosen;
    for (std::size_t place = 0; place < places; ++place) {
      double best = -1;
      std::uint32_t best_item = 0;
      for (std::uint32_t i = 0; i < n; ++i) {
        if (std::find(chosen.begin(), chosen.end(), i) != chosen.end()) continue;
        auto with = chosen;
        with.push_back(i);
        std::vector<std::vector<double>> m(with.size(), std::vector<double>(with.size()));
        for (std::size_t r = 0; r < with.size(); ++r)
          for (std::size_t c = 0; c < with.size(); ++c) m[r][c] = kernel(with[r], with[c]);
        if (const double d = determinant(m); d > best) {
          best = d;
          best_item = i;
        }
      }
      EXPECT_EQ((*order)[place], best_item) << "seed " << seed << ", place " << place;
      chosen.push_back(best_item);
    }
  }
}

TEST(Dpp, ItemsThatAddNothingFollowByScore) {
  EXPECT_THAT(*rank_by_dpp(kScores, {kVectors, 2}, 1, 4), ElementsAre(0, 2, 1, 3));
  EXPECT_THAT(*rank_by_dpp({}, {{}, 2}, 1, 4), IsEmpty());
  EXPECT_FALSE(rank_by_dpp(kScores, {kVectors, 2}, 0, 4));
}

Order reversed(std::size_t n) {
  Order order(n);
  std::iota(order.rbegin(), order.rend(), 0u);
  return order;
}

TEST(Guardrails, NoItemMovesFurtherThanAllowed) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed, "moves");
    Order wanted(1 + rng.below(30));
    std::iota(wanted.begin(), wanted.end(), 0u);
    rng.shuffle(wanted);
    const std::size_t most = rng.below(6);
    const auto order = apply_guardrails(wanted, {.move_max = most});
    ASSERT_TRUE(order);
    Order sorted = *order;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t place = 0; place < sorted.size(); ++place) {
      EXPECT_EQ(sorted[place], place);
      EXPECT_LE(std::abs(static_cast<int>((*order)[place]) - static_cast<int>(place)),
                static_cast<int>(most));
    }
  }
  EXPECT_EQ(*apply_guardrails(reversed(5), {}), reversed(5));
  EXPECT_THAT(*apply_guardrails(reversed(5), {.move_max = 0}), ElementsAre(0, 1, 2, 3, 4));
}

TEST(Guardrails, PinsHoldAndTheRestFollows) {
  EXPECT_THAT(*apply_guardrails(reversed(4), {.pins = {{0, 0}, {3, 2}}}), ElementsAre(0, 2, 3, 1));
}

TEST(Guardrails, CategoriesKeepTheirDistanceWhileTheyCan) {
  const std::vector<std::uint64_t> categories = {7, 7, 7, 8, 0};
  const Order wanted = {0, 1, 2, 3, 4};
  EXPECT_THAT(*apply_guardrails(wanted, {.spacing = 1}, {.categories = categories}),
              ElementsAre(0, 3, 1, 4, 2));
  const std::vector<std::uint64_t> alike(5, 7);
  EXPECT_EQ(*apply_guardrails(wanted, {.spacing = 1}, {.categories = alike}), wanted);
}

TEST(Guardrails, FreshItemsGetTheirPlacesNearTheTop) {
  const std::vector<std::uint8_t> fresh = {0, 0, 0, 0, 1, 1};
  const Order wanted = {0, 1, 2, 3, 4, 5};
  EXPECT_THAT(*apply_guardrails(wanted, {.fresh_min = 2, .fresh_places = 3}, {.fresh = fresh}),
              ElementsAre(0, 4, 5, 1, 2, 3));
  EXPECT_THAT(*apply_guardrails(wanted, {.fresh_min = 9, .fresh_places = 2}, {.fresh = fresh}),
              ElementsAre(4, 5, 0, 1, 2, 3));
}

TEST(Guardrails, WhatCannotBeIsRefused) {
  const Order twice = {0, 0}, wanted = {0, 1};
  EXPECT_FALSE(apply_guardrails(twice, {}));
  EXPECT_FALSE(apply_guardrails(wanted, {.pins = {{2, 0}}}));
  EXPECT_FALSE(apply_guardrails(wanted, {.pins = {{0, 0}, {1, 0}}}));
  const std::vector<std::uint8_t> marks = {1};
  EXPECT_FALSE(apply_guardrails(wanted, {}, {.fresh = marks}));
}

TEST(Exploration, DrawsByTheOddsThatItLogs) {
  const std::vector<float> scores = {1, 0, -1};
  std::map<Order, int> counts;
  std::map<Order, double> odds;
  Rng rng(1, "explore");
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) {
    const auto drawn = explore(scores, 1.0, 2, rng);
    ASSERT_TRUE(drawn);
    ++counts[drawn->order];
    odds[drawn->order] = drawn->propensity[0] * drawn->propensity[1];
    EXPECT_EQ(drawn->propensity[2], 1.0);
  }
  EXPECT_EQ(counts.size(), 6u);
  for (const auto& [order, count] : counts) {
    const double p = odds.at(order);
    EXPECT_NEAR(count, kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)));  // five deviations
  }
}

TEST(Exploration, TurnsOffAtZero) {
  const std::vector<float> scores = {1, 3, 2};
  Rng rng(1, "explore");
  const auto order = explore(scores, 0, 3, rng);
  EXPECT_THAT(order->order, ElementsAre(1, 2, 0));
  EXPECT_THAT(order->propensity, ElementsAre(1, 1, 1));
  EXPECT_FALSE(explore(scores, -1, 3, rng));
}

TEST(ExperimentArm, IsStableSaltedAndEven) {
  int held = 0, moved = 0;
  std::array<int, 4> arms{};
  for (std::uint64_t person = 0; person < 10'000; ++person) {
    const std::uint32_t arm = *experiment_arm("salt", person, 4, 0.1);
    EXPECT_EQ(arm, *experiment_arm("salt", person, 4, 0.1));
    held += arm == kHoldOut;
    if (arm != kHoldOut) ++arms[arm];
    moved += arm != *experiment_arm("pepper", person, 4, 0.1);
  }
  EXPECT_NEAR(held, 1000, 150);  // five deviations
  for (const int count : arms) EXPECT_NEAR(count, 2250, 210);
  EXPECT_GT(moved, 7000);
  EXPECT_FALSE(experiment_arm("salt", 1, 0, 0.1));
  EXPECT_FALSE(experiment_arm("salt", 1, 2, 1.1));
}

}  // namespace
}  // namespace inkling
