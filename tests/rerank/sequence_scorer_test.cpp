#include "rerank/sequence_scorer.h"

#include <gmock/gmock.h>

#include "rerank/conditional_logit.h"
#include "rerank/planned_scorer.h"
#include "tests/rerank/synthetic.h"

namespace inkling {
namespace {

using ::testing::HasSubstr;

SequenceScorerSpec spec(SequenceKind kind) {
  return {.kind = kind,
          .base_width = 2,
          .mean = {0, 0, 0},
          .deviation = {1, 2, 1},
          .linear = {1, -1, 0.5f},
          .past_rows = 4,
          .encoding = 5,
          .hidden = 6};
}

const std::vector<float> kRows = {1, 2, 3, -1, 0.5f, 0, 2, 2, -3, 0.25f, -4, 1};  // f32[4, 3]

std::vector<float> scores(PlannedScorer& scorer, std::span<const float> rows,
                          std::span<const float> past) {
  PlannedScorer::Planned* planned = *scorer.slate(rows.size() / 3);
  std::copy(rows.begin(), rows.end(), planned->features.span<float>().begin());
  EXPECT_TRUE(fill_past(past, planned->past, planned->present));
  planned->run();
  const auto out = planned->scores.span<float>();
  return {out.begin(), out.end()};
}

class SequenceScorer : public ::testing::TestWithParam<SequenceKind> {
 protected:
  // A head that also listens to the network.
  Model model() {
    const Model fresh = *sequence_scorer(synthetic::schema(), spec(GetParam()));
    std::vector<float> parameters = *model_parameters(fresh.graph);
    for (std::size_t i = parameters.size() - 6; i < parameters.size(); ++i)
      parameters[i] = 0.1f * static_cast<float>(i % 3) + 0.1f;
    return *with_parameters(fresh, parameters);
  }
};

TEST_P(SequenceScorer, BeginsAsTheLinearModel) {
  const Model fresh = *sequence_scorer(synthetic::schema(), spec(GetParam()));
  auto scorer = *PlannedScorer::create(fresh, synthetic::schema());
  const auto got = scores(scorer, kRows, {});
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(got[i], kRows[3 * i] - kRows[3 * i + 1] / 2 + kRows[3 * i + 2] / 2, 1e-5f);
}

TEST_P(SequenceScorer, ReadsThePastAndNothingBeforeIt) {
  auto scorer = *PlannedScorer::create(model(), synthetic::schema());
  const std::vector<float> past = {1, 2, -3, 4};
  const auto none = scores(scorer, kRows, {});
  const auto some = scores(scorer, kRows, past);
  EXPECT_NE(none, some);
  const std::vector<float> longer = {9, 9, 0, 1, 2, 3, 1, 2, -3, 4};  // more rows than it reads
  EXPECT_EQ(scores(scorer, kRows, longer), scores(scorer, kRows, std::span(longer).last(8)));
  EXPECT_EQ(scores(scorer, kRows, past), some);  // nothing stays from one call to the next
}

TEST_P(SequenceScorer, AnyNumberOfCandidatesGivesTheSameScoresForTheFirst) {
  auto scorer = *PlannedScorer::create(model(), synthetic::schema());
  const std::vector<float> past = {1, 2};
  const auto all = scores(scorer, kRows, past);
  for (std::size_t n = 1; n < 4; ++n) {  // the list is read from the front
    const auto first = scores(scorer, std::span(kRows).first(3 * n), past);
    for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(first[i], all[i], 1e-5f);
  }
}

TEST_P(SequenceScorer, AFrozenTrunkScoresAlikeAndLeavesTheHead) {
  const Model whole = model();
  const auto frozen = freeze_trunk(whole);
  ASSERT_TRUE(frozen) << frozen.error().message;
  EXPECT_EQ(model_parameters(frozen->graph)->size(), 3u + 6u);
  auto a = *PlannedScorer::create(whole, synthetic::schema());
  auto b = *PlannedScorer::create(*frozen, synthetic::schema());
  const std::vector<float> past = {1, 2, -3, 4};
  const auto expected = scores(a, kRows, past), got = scores(b, kRows, past);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(got[i], expected[i], 1e-5f);
  const Bytes bytes = *encode_model(*frozen);
  const auto owner = std::make_shared<const Bytes>(bytes);
  ASSERT_TRUE(PlannedScorer::create(*decode_model(*owner, owner), synthetic::schema()));
}

TEST_P(SequenceScorer, TheScoresAreTheRepresentationTimesTheHead) {
  const Model whole = model();
  auto scorer = *PlannedScorer::create(*freeze_trunk(whole), synthetic::schema());
  const auto got = scores(scorer, kRows, {});
  const auto representation = (*scorer.slate(4))->representation.span<float>();
  const auto head = scorer.global();
  for (std::size_t i = 0; i < 4; ++i) {
    float total = 0;
    for (std::size_t j = 0; j < head.size(); ++j)
      total += representation[i * head.size() + j] * head[j];
    EXPECT_NEAR(total, got[i], 1e-4f);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, SequenceScorer,
                         ::testing::Values(SequenceKind::kDin, SequenceKind::kEdgeRec),
                         [](const auto& param) {
                           return param.param == SequenceKind::kDin ? "din" : "edgerec";
                         });

TEST(SequenceScorerSpec, SizesThatCannotBeAreRefused) {
  SequenceScorerSpec bad = spec(SequenceKind::kDin);
  bad.encoding = kExampleRows;
  EXPECT_THAT(sequence_scorer(synthetic::schema(), bad).error().message, HasSubstr("61"));
  bad = spec(SequenceKind::kDin);
  bad.deviation[1] = 0;
  EXPECT_FALSE(sequence_scorer(synthetic::schema(), bad));
  bad = spec(SequenceKind::kDin);
  bad.base_width = 4;
  EXPECT_FALSE(sequence_scorer(synthetic::schema(), bad));
}

TEST(ScaledLogit, DividesByTheDeviationAndAgreesWithTheFormula) {
  const std::vector<float> deviation = {1, 2, 4}, weights = {1, 1, 1};
  auto scorer = *PlannedScorer::create(*scaled_logit_model(synthetic::schema(), deviation, weights),
                                       synthetic::schema());
  PlannedScorer::Planned* planned = *scorer.slate(1);
  const auto features = planned->features.span<float>();
  std::fill(features.begin(), features.end(), 4.0f);
  planned->run();
  EXPECT_FLOAT_EQ(planned->scores.span<float>()[0], 4 + 2 + 1);
  EXPECT_FALSE(scaled_logit_model(synthetic::schema(), {}, weights));
}

}  // namespace
}  // namespace inkling
