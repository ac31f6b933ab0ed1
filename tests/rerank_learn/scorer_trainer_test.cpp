#include "rerank/learn/scorer_trainer.h"

#include "rerank/conditional_logit.h"
#include "rerank/learn/patch_choice.h"
#include "rerank/sequence_scorer.h"
#include "tests/rerank/synthetic.h"

namespace inkling {
namespace {

std::vector<Example> examples_of(std::span<const EncodedSlate> slates) {
  std::vector<Example> examples;
  for (const EncodedSlate& s : slates) examples.push_back({.slate = s});
  return examples;
}

Model fresh_scorer(SequenceKind kind) {
  return *sequence_scorer(synthetic::schema(), {.kind = kind,
                                                .base_width = 3,
                                                .mean = {0, 0, 0},
                                                .deviation = {1, 1, 1},
                                                .linear = {0, 0, 0},
                                                .past_rows = 2,
                                                .encoding = 4,
                                                .hidden = 4});
}

TEST(ScorerTrainer, LearnsWhatDrewTheChoicesAndRepeatsItself) {
  Rng rng(1, "training");
  const std::vector<double> truth = {2, -1, 0};
  const auto examples = examples_of(synthetic::draw_slates(rng, truth, 320));
  for (const SequenceKind kind : {SequenceKind::kDin, SequenceKind::kEdgeRec}) {
    std::vector<double> losses;
    const ScorerTrainingSpec spec{.batch = 8, .epochs = 4, .rate = 0.01};
    const auto report = [&](int, double loss) { losses.push_back(loss); };
    const auto trained = train_scorer(fresh_scorer(kind), examples, spec, report);
    ASSERT_TRUE(trained) << trained.error().message;
    EXPECT_LT(losses.back(), 0.75 * std::log(5.0));  // from an even guess among five
    const auto again = train_scorer(fresh_scorer(kind), examples, spec);
    EXPECT_EQ(*model_parameters(trained->graph), *model_parameters(again->graph));
  }
}

TEST(ScorerTrainer, NeedsABatchThatTeaches) {
  Rng rng(2, "training");
  auto examples = examples_of(synthetic::draw_slates(rng, std::vector<double>{1, 0, 0}, 8));
  examples[0].slate.chosen = {};
  const auto trained = train_scorer(fresh_scorer(SequenceKind::kDin), examples, {.batch = 8});
  EXPECT_EQ(trained.error().code, ErrorCode::kInvalidArgument);
}

TEST(PatchChoice, KeepsAPatchForWhoDiffersAndNoneForWhoDoesNot) {
  Rng rng(3, "people");
  const std::vector<float> head = {1, 0, 0};
  const PatchChoiceSpec spec{.pulls = {0.1, 1, 10}};
  int kept_alike = 0, kept_different = 0;
  for (int i = 0; i < 40; ++i) {
    const auto alike = synthetic::draw_slates(rng, std::vector<double>{1, 0, 0}, 24);
    const auto different = synthetic::draw_slates(rng, std::vector<double>{-2, 2, 0}, 24);
    kept_alike += choose_patch(alike, head, spec)->delta.has_value();
    const auto choice = choose_patch(different, head, spec);
    ASSERT_TRUE(choice);
    kept_different += choice->delta.has_value();
    EXPECT_EQ(choice->held_back, 8u);
    EXPECT_EQ(choice->held_back_nll.size(), 3u);
  }
  EXPECT_LE(kept_alike, 8);  // what a margin of half a nat and 1.5 standard errors let through
  EXPECT_GE(kept_different, 36);
}

TEST(PatchChoice, WithFewSlatesThereIsNothingToChooseBy) {
  Rng rng(4, "people");
  const std::vector<float> head = {1, 0, 0};
  const auto slates = synthetic::draw_slates(rng, std::vector<double>{-5, 0, 0}, 3);
  const auto choice = choose_patch(slates, head);
  ASSERT_TRUE(choice);
  EXPECT_FALSE(choice->delta);
  EXPECT_TRUE(choice->held_back_nll.empty());
  EXPECT_FALSE(choose_patch(slates, head, {.pulls = {}}));
  EXPECT_FALSE(choose_patch(slates, std::vector<float>{1}));
}

}  // namespace
}  // namespace inkling
