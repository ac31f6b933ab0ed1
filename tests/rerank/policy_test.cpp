#include "rerank/policy.h"

#include <gmock/gmock.h>

#include <map>

#include "rerank/conditional_logit.h"
#include "rerank/reranker.h"
#include "tests/rerank/synthetic.h"

namespace inkling {
namespace {

using synthetic::candidate;
using testing::ElementsAre;

// Scores 0.5, 2, 0.25, -1: the model's order is 1, 0, 2, 3.
std::vector<Candidate> slate() {
  return {candidate(1, 0.5), candidate(2, 2), candidate(3, 0.25), candidate(4, -1)};
}

class PolicyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(reranker_.set_model(
        *conditional_logit_model(synthetic::schema(), std::vector<float>{1, 0, 0})));
  }
  Ranking rank() { return *reranker_.rerank(slate()); }

  VirtualClock clock_;
  Reranker reranker_{synthetic::schema(), clock_};
};

TEST_F(PolicyTest, GuardRailsHoldWhateverTheScores) {
  EXPECT_THAT(rank().order, ElementsAre(1, 0, 2, 3));
  ASSERT_TRUE(reranker_.set_policy({.pins = {{4, 0}, {77, 1}, {1, 99}}}));
  EXPECT_THAT(rank().order, ElementsAre(3, 1, 0, 2));  // item 77 is not shown, place 99 not there
  ASSERT_TRUE(reranker_.set_policy({.move_max = 0}));
  EXPECT_THAT(rank().order, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(rank().propensities, ElementsAre(1, 1, 1, 1));
}

TEST_F(PolicyTest, FreshItemsAndSpacingComeFromTheCandidates) {
  auto shown = slate();
  shown[3].fresh = true;
  ASSERT_TRUE(reranker_.set_policy({.fresh_min = 1, .fresh_places = 2}));
  const auto fresh = reranker_.rerank(shown)->order;
  EXPECT_TRUE(fresh[0] == 3 || fresh[1] == 3);
  shown[0].group = shown[1].group = 5;
  ASSERT_TRUE(reranker_.set_policy({.spacing = 1}));
  const auto spaced = reranker_.rerank(shown)->order;
  EXPECT_EQ(spaced[0], 1u);
  EXPECT_NE(spaced[1], 0u);
}

TEST_F(PolicyTest, ASearchKeepsItemsOfAGroupApartAndGuardRailsBoundWhatItFinds) {
  auto shown = slate();
  shown[0].group = shown[1].group = 5;  // the two best
  const auto order = [&] { return reranker_.rerank(shown)->order; };
  EXPECT_THAT(order(), ElementsAre(1, 0, 2, 3));
  ASSERT_TRUE(reranker_.set_policy({.list_places = 2, .list_fatigue = 0.5}));
  EXPECT_THAT(order(), ElementsAre(1, 2, 0, 3));  // e^.5 / 2 < e^.25; the rest is by score
  ASSERT_TRUE(reranker_.set_policy({.list_places = 2, .list_fatigue = 0}));
  EXPECT_THAT(order(), ElementsAre(1, 0, 2, 3));
  ASSERT_TRUE(reranker_.set_policy({.pins = {{4, 1}}, .list_places = 2, .list_fatigue = 0.5}));
  EXPECT_THAT(order(), ElementsAre(1, 3, 2, 0));
}

TEST_F(PolicyTest, ASearchThatTheDeadlineStopsLeavesTheOrderByScore) {
  auto shown = slate();
  shown[0].group = shown[1].group = 5;
  const std::vector<float> scores = {0.5f, 2, 0.25f, -1};
  Rng rng(1, "unused");
  const Policy policy{.list_places = 4};
  int asked = 0;
  const auto stopped = *arrange(policy, shown, scores, rng, [&] { return ++asked > 1; });
  EXPECT_EQ(asked, 2);
  EXPECT_THAT(stopped.order, ElementsAre(1, 0, 2, 3));  // one place found
  EXPECT_THAT(arrange(policy, shown, scores, rng)->order, ElementsAre(1, 2, 0, 3));
}

TEST_F(PolicyTest, ExploredOrdersComeAsOftenAsTheirPropensitiesSay) {
  ASSERT_TRUE(reranker_.set_policy({.temperature = 1, .explore_places = 1, .seed = 9}));
  std::map<std::uint32_t, int> firsts;
  std::map<std::uint32_t, double> odds;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const Ranking ranking = rank();
    ++firsts[ranking.order[0]];
    odds[ranking.order[0]] = ranking.propensities[0];
  }
  double total = 0;
  for (const auto& [item, p] : odds) {
    // Five standard errors of a share.
    EXPECT_NEAR(firsts[item] / double{kDraws}, p, 5 * std::sqrt(p * (1 - p) / kDraws));
    total += p;
  }
  EXPECT_NEAR(total, 1, 1e-9);
}

TEST_F(PolicyTest, PeopleWhoAreHeldOutSeeTheServersOrder) {
  int held_out = 0;
  for (std::uint64_t person = 0; person < 1000; ++person) {
    const Policy policy{.experiment =
                            Experiment{.salt = "a", .person = person, .arms = 2, .hold_out = 0.1}};
    ASSERT_TRUE(reranker_.set_policy(policy));
    const bool out = *arm_of(policy) == kHoldOut;
    EXPECT_EQ(rank().by, out ? RankedBy::kServerHoldOut : RankedBy::kGlobalModel);
    held_out += out;
  }
  EXPECT_NEAR(held_out, 100, 48);  // five standard deviations
}

TEST_F(PolicyTest, WhatCannotBeIsRefusedAndTheOldPolicyStays) {
  ASSERT_TRUE(reranker_.set_policy({.move_max = 0}));
  for (const Policy& bad :
       {Policy{.pins = {{1, 0}, {1, 1}}}, Policy{.pins = {{1, 0}, {2, 0}}},
        Policy{.temperature = -1}, Policy{.list_places = 1, .list_fatigue = 1.5},
        Policy{.list_places = 1, .list_width = 0},
        Policy{.list_places = 1, .temperature = 1, .explore_places = 2},
        Policy{.spacing = 1, .temperature = 1, .explore_places = 2},
        Policy{.experiment = Experiment{.salt = "a", .arms = 0}},
        Policy{.experiment = Experiment{.salt = "a", .hold_out = 1.5}}}) {
    EXPECT_EQ(reranker_.set_policy(bad).error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_THAT(rank().order, ElementsAre(0, 1, 2, 3));
}

TEST_F(PolicyTest, WhyGivesALinearModelsTermsAndLeavesTheOrderAlone) {
  const auto before = rank();
  const auto reasons = *reranker_.why(slate(), {}, 1, 5);
  ASSERT_EQ(reasons.size(), 1u);  // the other weights are zero
  EXPECT_EQ(reasons[0].feature, synthetic::schema().features()[0].name);
  // Weight 1 on a value of 2 among a mean of 0.4375.
  EXPECT_NEAR(reasons[0].effect, 2 - 0.4375, 1e-5);
  EXPECT_EQ(rank().scores, before.scores);
  EXPECT_EQ(reranker_.why(slate(), {}, 4, 5).error().code, ErrorCode::kInvalidArgument);
  Reranker empty(synthetic::schema(), clock_);
  EXPECT_EQ(empty.why(slate(), {}, 0, 5).error().code, ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace inkling
