#include "rerank/reranker.h"

#include <gmock/gmock.h>

#include "rerank/conditional_logit.h"
#include "runtime/ops.h"
#include "tests/rerank/synthetic.h"

namespace inkling {
namespace {

using synthetic::candidate;
using testing::ElementsAre;

Model logit(std::initializer_list<float> weights, std::uint32_t version = 1) {
  return *conditional_logit_model(synthetic::schema(version), std::vector<float>(weights));
}

std::vector<Candidate> slate() {
  return {candidate(1, 0.5), candidate(2, 2), candidate(3, 0.5), candidate(4, -1)};
}

// Each reading is a millisecond after the one before.
class TickingClock final : public Clock {
 public:
  std::int64_t unix_ms() const override { return steady_ms(); }
  std::int64_t steady_ms() const override { return now_ms_++; }

 private:
  mutable std::int64_t now_ms_ = 0;
};

TEST(Reranker, WithoutAModelKeepsTheServersOrder) {
  const VirtualClock clock;
  Reranker reranker(synthetic::schema(), clock);
  const Ranking ranking = *reranker.rerank(slate());
  EXPECT_EQ(ranking.by, RankedBy::kServerNoModel);
  EXPECT_THAT(ranking.order, ElementsAre(0, 1, 2, 3));
  EXPECT_TRUE(ranking.scores.empty());
}

TEST(Reranker, OrdersByTheModelAndKeepsTies) {
  const VirtualClock clock;
  Reranker reranker(synthetic::schema(), clock);
  ASSERT_TRUE(reranker.set_model(logit({1, 0, 0})));
  const Ranking ranking = *reranker.rerank(slate());
  EXPECT_EQ(ranking.by, RankedBy::kGlobalModel);
  EXPECT_THAT(ranking.order, ElementsAre(1, 0, 2, 3));
  EXPECT_THAT(ranking.scores, ElementsAre(0.5f, 2.0f, 0.5f, -1.0f));
  float total = 0;
  for (const float p : ranking.probabilities) total += p;
  EXPECT_NEAR(total, 1, 1e-6f);
  EXPECT_NEAR(ranking.probabilities[1] / ranking.probabilities[0], std::exp(1.5f), 1e-4f);
}

TEST(Reranker, ServesEverySlateSizeAlsoBeyondTheCache) {
  const VirtualClock clock;
  Reranker reranker(synthetic::schema(), clock);
  ASSERT_TRUE(reranker.set_model(logit({1, 0, 0})));
  for (int round = 0; round < 2; ++round) {
    for (std::size_t size = 0; size < kPlannedSizesMax + 4; ++size) {
      std::vector<Candidate> candidates;
      for (std::size_t i = 0; i < size; ++i)
        candidates.push_back(candidate(i + 1, static_cast<double>(i)));
      const auto ranking = reranker.rerank(candidates);
      ASSERT_TRUE(ranking) << ranking.error().message;
      ASSERT_EQ(ranking->order.size(), size);
      for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(ranking->order[i], size - 1 - i);
    }
  }
}

TEST(Reranker, AMissedDeadlineGivesTheServersOrderAtEveryStage) {
  // 1 reading before the features, 1 among them (one every 16 candidates), 1 after the scores.
  for (std::int64_t deadline = 0; deadline <= 3; ++deadline) {
    const TickingClock clock;
    Reranker reranker(synthetic::schema(), clock);
    ASSERT_TRUE(reranker.set_model(logit({1, 0, 0})));
    const Ranking ranking = *reranker.rerank(slate(), {.deadline_ms = deadline});
    if (deadline < 3) {
      EXPECT_EQ(ranking.by, RankedBy::kServerDeadline) << deadline;
      EXPECT_THAT(ranking.order, ElementsAre(0, 1, 2, 3));
    } else {
      EXPECT_EQ(ranking.by, RankedBy::kGlobalModel);
    }
  }
}

TEST(Reranker, AppliesAPatchAndTakesItOff) {
  const VirtualClock clock;
  Reranker reranker(synthetic::schema(), clock);
  const Model model = logit({1, 0, 0});
  EXPECT_EQ(reranker.set_patch({}).error().code, ErrorCode::kFailedPrecondition);
  ASSERT_TRUE(reranker.set_model(logit({1, 0, 0})));
  ASSERT_TRUE(reranker.rerank(slate()));  // planned before the patch
  ASSERT_TRUE(reranker.set_patch({.base = *model_identity(model), .delta = {-2, 0, 0}}));
  const Ranking personal = *reranker.rerank(slate());
  EXPECT_EQ(personal.by, RankedBy::kPersonalModel);
  EXPECT_THAT(personal.order, ElementsAre(3, 0, 2, 1));
  ASSERT_TRUE(reranker.clear_patch());
  const Ranking global = *reranker.rerank(slate());
  EXPECT_EQ(global.by, RankedBy::kGlobalModel);
  EXPECT_THAT(global.order, ElementsAre(1, 0, 2, 3));
}

TEST(Reranker, RefusesAPatchForAnotherModelAndDropsItWithTheModel) {
  const VirtualClock clock;
  Reranker reranker(synthetic::schema(), clock);
  ASSERT_TRUE(reranker.set_model(logit({1, 0, 0})));
  const Patch other{.base = *model_identity(logit({1, 0, 0.5f})), .delta = {1, 1, 1}};
  EXPECT_EQ(reranker.set_patch(other).error().code, ErrorCode::kVerification);
  EXPECT_EQ(reranker.rerank(slate())->by, RankedBy::kGlobalModel);
  ASSERT_TRUE(reranker.set_patch({.base = *model_identity(logit({1, 0, 0})), .delta = {1, 1, 1}}));
  ASSERT_TRUE(reranker.set_model(logit({1, 0, 0.5f})));
  EXPECT_EQ(reranker.rerank(slate())->by, RankedBy::kGlobalModel);
}

TEST(Reranker, RefusesAModelForAnotherSchemaAndKeepsTheOldOne) {
  const VirtualClock clock;
  Reranker reranker(synthetic::schema(), clock);
  ASSERT_TRUE(reranker.set_model(logit({1, 0, 0})));
  EXPECT_EQ(reranker.set_model(logit({-1, 0, 0}, 2)).error().code, ErrorCode::kVerification);
  Model unnamed = logit({-1, 0, 0});
  unnamed.metadata.clear();
  EXPECT_EQ(reranker.set_model(std::move(unnamed)).error().code, ErrorCode::kVerification);
  EXPECT_THAT(reranker.rerank(slate())->order, ElementsAre(1, 0, 2, 3));
}

TEST(Reranker, RefusesWhatIsNotAScorer) {
  const VirtualClock clock;
  Reranker reranker(synthetic::schema(), clock);
  const auto refused = [&](const Shape& features, bool output) {
    Model model;
    const ValueId x = model.graph.input(kFeaturesInput, {DType::kF32, features});
    if (output) model.graph.output(kScoresOutput, neg(model.graph, x));
    model.metadata[kSchemaKey] = schema_tag(synthetic::schema());
    return reranker.set_model(std::move(model)).error().code;
  };
  EXPECT_EQ(refused({1, 3}, false), ErrorCode::kInvalidArgument);  // no scores
  EXPECT_EQ(refused({1, 3}, true), ErrorCode::kInvalidArgument);   // three scores a row
  EXPECT_EQ(refused({1, 1}, true), ErrorCode::kInvalidArgument);   // another width
  EXPECT_EQ(refused({3}, true), ErrorCode::kInvalidArgument);      // no rows
  EXPECT_EQ(reranker.set_model({}).error().code, ErrorCode::kVerification);
}

TEST(Reranker, AModelKeepsItsIdentityThroughItsFile) {
  const Model model = logit({1, 2, 3});
  const Bytes bytes = *encode_model(model);
  const auto decoded = decode_model(bytes, nullptr);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(*model_identity(*decoded), *model_digest(bytes));
}

TEST(Reranker, RefusesFeaturesItDoesNotKnowAndTooManyCandidates) {
  const VirtualClock clock;
  Reranker reranker(synthetic::schema(), clock);
  ASSERT_TRUE(reranker.set_model(logit({1, 0, 0})));
  const std::vector<Candidate> unknown = {
      {.item = 1, .features = {{.name = "colour", .value = 1.0}}}};
  EXPECT_EQ(reranker.rerank(unknown).error().code, ErrorCode::kInvalidArgument);
  std::vector<Candidate> many(kCandidatesMax);
  EXPECT_TRUE(reranker.rerank(many));
  many.emplace_back();
  EXPECT_EQ(reranker.rerank(many).error().code, ErrorCode::kResourceLimit);
}

}  // namespace
}  // namespace inkling
