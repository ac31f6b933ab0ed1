#include "server-sim/simulation/example_set.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/base/thread_pool.h"
#include "server-sim/simulation/evaluator.h"

namespace inkling {
namespace {

std::vector<float> row(const ExampleSet& set, std::size_t example) {
  std::vector<float> values(set.feature_count(), -1.0f);
  set.fill_features(example, values);
  return values;
}

TEST(ExampleSet, RowsOfAFewOnesAreThoseRows) {
  const ExampleSet set = ExampleSet::from_active(5, {0, 3, 4, 1}, {1, 0}, 2).value();
  EXPECT_EQ(row(set, 0), (std::vector<float>{1, 0, 0, 1, 0}));
  EXPECT_EQ(row(set, 1), (std::vector<float>{0, 1, 0, 0, 1}));
  EXPECT_EQ(set.labels_of(0)[0], 1u);
  EXPECT_EQ(ExampleSet::from_active(4, {0, 3, 4, 1}, {1, 0}, 2).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(ExampleSet::from_active(5, {0, 3, 4}, {1, 0}, 2).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(ExampleSet, ASlateHasSeveralChoicesOfWhichEachIsInIt) {
  const std::vector<SlateChoice> slates = {{.alternatives = 2, .chosen = {1, 0}},
                                           {.alternatives = 3, .chosen = {2}}};
  const ExampleSet set = ExampleSet::from_slates({3, 1}, std::vector<float>(6), slates).value();
  EXPECT_EQ(set.labels()[0], 1u);
  EXPECT_EQ(set.labels_of(0).size(), 2u);
  EXPECT_EQ(set.labels_of(1)[0], 2u);
  EXPECT_EQ(set.alternatives(0), 2u);
  for (const SlateChoice& wrong : {SlateChoice{.alternatives = 2, .chosen = {2}},
                                   SlateChoice{.alternatives = 4, .chosen = {1}},
                                   SlateChoice{.alternatives = 2, .chosen = {}}}) {
    const auto made = ExampleSet::from_slates({3, 1}, std::vector<float>(3), {{wrong}});
    EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  }
}

// Scores 1, 3 and 2 of three items with one weight; an empty place has a feature that would win,
// were its offset not far below.
TEST(Evaluator, AnEmptyPlaceOfASlateCountsForNothing) {
  const std::vector<SlateChoice> slates = {{.alternatives = 3, .chosen = {0, 2}}};
  const ExampleSet set =
      ExampleSet::from_slates({4, 2}, {1, 0, 3, 0, 2, 0, 9, -1e4f}, slates).value();
  Evaluator evaluator = Evaluator::create({.name = "offset_logit"}, set, 1).value();
  ThreadPool pool(1);
  const std::vector<float> weight = {1.0f};
  const Evaluation e = evaluator.measure(weight, pool);
  EXPECT_EQ(e.accuracy, 0);  // the second item is first
  const double total = std::exp(1.0) + std::exp(2.0) + std::exp(3.0);
  EXPECT_NEAR(e.nll, std::log(total) - (1.0 + 2.0) / 2, 1e-6);  // float logits
  ASSERT_TRUE(e.order);
  EXPECT_EQ(e.order->gauc, 0);  // the one that was not chosen is above both that were
  const double dcg = 1 / std::log2(3.0) + 1 / std::log2(4.0), best = 1 + 1 / std::log2(3.0);
  EXPECT_NEAR(e.order->ndcg, dcg / best, 1e-12);
}

TEST(Evaluator, ModelsOfClientsAreMeasuredOnTheirOwnExamples) {
  const ExampleSet set = ExampleSet::from_active(2, {0, 1, 0, 1}, {0, 0, 1, 1}, 2).value();
  Evaluator evaluator = Evaluator::create({.name = "logistic"}, set, 2).value();
  ThreadPool pool(2);
  const PartitionPtr owned = partition_owned(std::vector<std::uint32_t>{0, 0, 2, 9}, 3).value();
  // Client 0 always answers 0, client 2 always 1; nobody has the last example.
  const Evaluation e = evaluator.measure_each(
      *owned,
      [](std::uint64_t client, std::span<float> model) {
        std::fill(model.begin(), model.end(), 0.0f);
        model[client == 0 ? 0 : 1] = 3.0f;  // the bias of a label, which comes before the weights
      },
      6, pool);
  EXPECT_EQ(e.accuracy, 1);
  EXPECT_NEAR(e.nll, std::log1p(std::exp(-3.0)), 1e-6);  // float logits
  EXPECT_FALSE(e.order);
}

}  // namespace
}  // namespace inkling
