#include "rerank/beam_search.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "rerank/list_value.h"
#include "rerank/ranking.h"
#include "runtime/base/rng.h"

namespace inkling {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using List = std::vector<std::uint32_t>;

// A gain drawn anew for every prefix and item, so that nothing but looking finds the best list.
class RandomGains final : public ListEvaluator {
 public:
  explicit RandomGains(std::uint64_t seed) : seed_(seed) {}
  void gains(std::span<const std::uint32_t> prefix, std::span<double> gains) override {
    auto [entry, is_new] = known_.try_emplace(List(prefix.begin(), prefix.end()));
    if (is_new) {
      Rng rng(seed_ + 1000 * known_.size(), "gains");
      for (std::size_t i = 0; i < gains.size(); ++i) entry->second.push_back(rng.normal());
    }
    std::copy(entry->second.begin(), entry->second.end(), gains.begin());
  }

 private:
  std::uint64_t seed_;
  std::map<List, std::vector<double>> known_;
};

// The same gain for the item wherever it stands.
class FixedGains final : public ListEvaluator {
 public:
  explicit FixedGains(std::vector<double> gains) : gains_(std::move(gains)) {}
  void gains(std::span<const std::uint32_t>, std::span<double> gains) override {
    std::copy(gains_.begin(), gains_.end(), gains.begin());
  }

 private:
  std::vector<double> gains_;
};

double value_of(ListEvaluator& evaluator, std::span<const std::uint32_t> list, std::size_t items) {
  std::vector<double> gains(items);
  double value = 0;
  for (std::size_t k = 0; k < list.size(); ++k) {
    evaluator.gains(list.first(k), gains);
    value += gains[list[k]];
  }
  return value;
}

double best_by_brute_force(ListEvaluator& evaluator, std::size_t items, std::size_t places) {
  List order(items);
  std::iota(order.begin(), order.end(), 0u);
  double best = -std::numeric_limits<double>::infinity();
  do {
    best = std::max(best, value_of(evaluator, std::span(order).first(places), items));
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

List greedy_list(ListEvaluator& evaluator, std::size_t items, std::size_t places) {
  List list;
  std::vector<double> gains(items);
  while (list.size() < places) {
    evaluator.gains(list, gains);
    std::size_t best = items;
    for (std::size_t i = 0; i < items; ++i)
      if (std::find(list.begin(), list.end(), i) == list.end() &&
          (best == items || gains[i] > gains[best]))
        best = i;
    list.push_back(static_cast<std::uint32_t>(best));
  }
  return list;
}

TEST(BeamSearch, WithRoomForAllPermutationsItFindsTheBestList) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const std::size_t items = 2 + seed % 5, places = 1 + seed % items;
    RandomGains evaluator(seed);
    const auto found = beam_search(
        evaluator, items,
        {.places = places, .width_min = 720, .width_max = 720, .reach = 1, .settled = 0});
    ASSERT_TRUE(found);
    // Sums of at most six numbers in one order: the same bits.
    EXPECT_EQ(found->value, best_by_brute_force(evaluator, items, places));
    EXPECT_EQ(found->value, value_of(evaluator, found->list, items));
    EXPECT_TRUE(found->finished);
  }
}

TEST(BeamSearch, WithAWidthOfOneItIsGreedy) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    RandomGains evaluator(seed);
    const auto found = beam_search(evaluator, 9, {.places = 6, .width_max = 1});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->list, greedy_list(evaluator, 9, 6));
    EXPECT_THAT(found->widths, Each(1u));
  }
}

TEST(BeamSearch, IsNeverWorthLessThanTheGreedyList) {
  int better = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    RandomGains evaluator(seed);
    const double greedy = value_of(evaluator, greedy_list(evaluator, 8, 5), 8);
    // Wide or narrow, and also when it settles at once.
    for (const BeamOptions& options :
         {BeamOptions{.places = 5, .width_max = 2}, BeamOptions{.places = 5, .reach = 0},
          BeamOptions{.places = 5}, BeamOptions{.places = 5, .reach = 1, .settled = 1e9}}) {
      const auto found = beam_search(evaluator, 8, options);
      ASSERT_TRUE(found);
      EXPECT_GE(found->value, greedy);
      better += found->value > greedy;
    }
  }
  EXPECT_GT(better, 100);
}

TEST(BeamSearch, TheWidthFollowsTheSpreadWithinItsBounds) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    RandomGains evaluator(seed);
    const auto found =
        beam_search(evaluator, 10, {.places = 6, .width_min = 2, .width_max = 7, .reach = 0.3});
    ASSERT_TRUE(found);
    for (const std::size_t width : found->widths) {
      EXPECT_GE(width, 2u);
      EXPECT_LE(width, 7u);
    }
  }
  const BeamOptions one{.places = 1, .width_max = 4};
  FixedGains clear({10, 1, 1, 1, 1, 0}), close({10, 9, 9, 9, 9, 0}), two({10, 9, 1, 1, 1, 0});
  EXPECT_THAT(beam_search(clear, 6, one)->widths, ElementsAre(1));
  EXPECT_THAT(beam_search(close, 6, one)->widths, ElementsAre(4));
  EXPECT_THAT(beam_search(two, 6, one)->widths, ElementsAre(2));
}

TEST(BeamSearch, NarrowsOnceTheListsAreWorthTheSame) {
  FixedGains equal({1, 1, 1, 1, 0});
  const BeamOptions options{.places = 4, .width_max = 3, .settled = 0};
  const auto found = *beam_search(equal, 5, options);
  EXPECT_THAT(found.widths, ElementsAre(3, 1, 1, 1));
  EXPECT_THAT(found.list, ElementsAre(0, 1, 2, 3));
}

TEST(BeamSearch, TiesGoToTheEarlierItem) {
  FixedGains equal({1, 1, 1, 1});
  for (const std::size_t width : {1u, 2u, 24u})
    EXPECT_THAT(beam_search(equal, 4, {.width_max = width, .reach = 1})->list,
                ElementsAre(0, 1, 2, 3));
}

TEST(BeamSearch, TheDeadlineLeavesTheBestListSoFar) {
  FixedGains evaluator({1, 3, 2, 0});
  int asked = 0;
  const auto found = *beam_search(evaluator, 4, {}, [&] { return ++asked > 2; });
  EXPECT_FALSE(found.finished);
  EXPECT_THAT(found.list, ElementsAre(1, 2));
  EXPECT_EQ(found.value, 5);
  EXPECT_THAT(beam_search(evaluator, 4, {}, [] { return true; })->list, IsEmpty());
}

TEST(BeamSearch, WhatCannotBeIsRefused) {
  FixedGains evaluator({1, 2});
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const BeamOptions& bad :
       {BeamOptions{.width_min = 0}, BeamOptions{.width_min = 9}, BeamOptions{.width_max = 4097},
        BeamOptions{.reach = 1.1}, BeamOptions{.reach = kNan}, BeamOptions{.settled = -1}}) {
    EXPECT_EQ(beam_search(evaluator, 2, bad).error().code, ErrorCode::kInvalidArgument);
  }
  FixedGains broken({1, kNan});
  EXPECT_EQ(beam_search(broken, 2, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(beam_search(evaluator, 0, {})->list, IsEmpty());
  EXPECT_THAT(beam_search(evaluator, 2, {.places = 0})->list, IsEmpty());
}

TEST(ListValue, IsTheFormulaOfItsHeader) {
  const std::vector<float> scores = {0, 0, 0};
  const std::vector<std::uint64_t> groups = {7, 7, 0};
  const std::vector<float> vectors = {3, 0, 0, 1, 2, 0};  // items 0 and 2 point the same way
  auto value = *ListValue::create(scores, groups, {vectors, 2},
                                  {.fatigue = 0.5, .recovery = 0.6, .patience = 0.8});
  std::vector<double> gains(3);
  value.gains({}, gains);
  EXPECT_THAT(gains, Each(testing::DoubleNear(1.0 / 3, 1e-12)));
  value.gains(List{0}, gains);
  EXPECT_NEAR(gains[1], 0.8 / 3 * 0.5, 1e-12);  // of its group
  EXPECT_NEAR(gains[2], 0.8 / 3 * 0.5, 1e-12);  // of its direction
  value.gains(List{0, 1}, gains);
  EXPECT_NEAR(gains[2], 0.64 / 3 * (1 - 0.5 * 0.6), 1e-12);  // like the one before the last
}

TEST(ListValue, WithoutFatigueTheBestListIsTheOrderByScore) {
  Rng rng(1, "scores");
  for (int round = 0; round < 20; ++round) {
    std::vector<float> scores(30);
    std::vector<std::uint64_t> groups(30);
    for (float& s : scores) s = static_cast<float>(rng.normal());
    for (auto& g : groups) g = rng.below(4);
    auto value = *ListValue::create(scores, groups, {}, {.fatigue = 0});
    EXPECT_EQ(beam_search(value, 30, {.places = 30})->list, rank_by_score(scores));
  }
}

TEST(ListValue, ABeamFindsListsThatGreedMisses) {
  Rng rng(2, "scores");
  int better = 0;
  for (int round = 0; round < 100; ++round) {
    std::vector<float> scores(12);
    std::vector<std::uint64_t> groups(12);
    for (float& s : scores) s = static_cast<float>(1.5 * rng.normal());
    for (auto& g : groups) g = 1 + rng.below(3);
    auto value = *ListValue::create(scores, groups, {}, {.fatigue = 0.9});
    const double greedy = value_of(value, greedy_list(value, 12, 8), 12);
    const auto found = *beam_search(value, 12, {.places = 8});
    // The search adds gains in the order of the list, as value_of does.
    EXPECT_GE(found.value, greedy);
    better += found.value > greedy;
  }
  EXPECT_GT(better, 50);
}

TEST(ListValue, WhatCannotBeIsRefused) {
  const std::vector<float> scores = {1, 2}, broken = {1, std::nanf("")};
  const std::vector<std::uint64_t> one = {1};
  EXPECT_FALSE(ListValue::create(scores, one, {}, {}));
  EXPECT_FALSE(ListValue::create(broken, {}, {}, {}));
  EXPECT_FALSE(ListValue::create(scores, {}, {scores, 2}, {}));
  EXPECT_FALSE(ListValue::create(scores, {}, {}, {.fatigue = 1.1}));
  EXPECT_FALSE(ListValue::create(scores, {}, {}, {.recovery = 1}));
  EXPECT_FALSE(ListValue::create(scores, {}, {}, {.patience = 0}));
}

}  // namespace
}  // namespace inkling
