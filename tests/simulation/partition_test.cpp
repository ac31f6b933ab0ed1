#include "server-sim/simulation/partition.h"

#include <gtest/gtest.h>

#include <set>

#include "server-sim/simulation/population.h"

namespace inkling {
namespace {

std::vector<std::uint32_t> ten_labels(std::size_t count) {
  std::vector<std::uint32_t> labels;
  for (std::size_t i = 0; i < count; ++i) labels.push_back(static_cast<std::uint32_t>(i % 10));
  return labels;
}

// Every example is somebody's, once, and nobody has none.
void expect_whole(const Partition& partition, std::size_t examples) {
  std::set<std::uint32_t> seen;
  std::vector<std::uint32_t> of_client;
  for (std::uint64_t client = 0; client < partition.clients(); ++client) {
    partition.examples_of(client, of_client);
    EXPECT_FALSE(of_client.empty()) << client;
    for (const std::uint32_t example : of_client) EXPECT_TRUE(seen.insert(example).second);
  }
  EXPECT_EQ(seen.size(), examples);
}

// Mean over clients of the share that its commonest label has.
double label_share(const Partition& partition, std::span<const std::uint32_t> labels) {
  double sum = 0;
  std::vector<std::uint32_t> of_client;
  for (std::uint64_t client = 0; client < partition.clients(); ++client) {
    partition.examples_of(client, of_client);
    std::vector<double> count(10);
    for (const std::uint32_t example : of_client) ++count[labels[example]];
    sum += *std::max_element(count.begin(), count.end()) / static_cast<double>(of_client.size());
  }
  return sum / static_cast<double>(partition.clients());
}

TEST(Partition, GivesEveryExampleToOneClient) {
  const auto labels = ten_labels(5000);
  expect_whole(*partition_uniform(5000, 77, 1).value(), 5000);
  expect_whole(*partition_dirichlet(labels, 77, 0.1, 1).value(), 5000);
  expect_whole(*partition_shards(labels, 50, 2, 1).value(), 5000);
  expect_whole(*partition_quantity(5000, 77, 0.3, 1).value(), 5000);
  expect_whole(*partition_natural(labels).value(), 5000);
}

TEST(Partition, SkewsLabelsAsAlphaSays) {
  const auto labels = ten_labels(20000);
  const double uniform = label_share(*partition_uniform(20000, 100, 1).value(), labels);
  const double mild = label_share(*partition_dirichlet(labels, 100, 10, 1).value(), labels);
  const double strong = label_share(*partition_dirichlet(labels, 100, 0.1, 1).value(), labels);
  EXPECT_LT(uniform, 0.2);
  EXPECT_LT(mild, 0.3);
  EXPECT_GT(strong, 0.5);
  // Two shards of one label each, give or take a border.
  EXPECT_GT(label_share(*partition_shards(labels, 100, 2, 1).value(), labels), 0.49);
}

TEST(Partition, GeneratesAMillionClientsWithoutAnArrayOfThem) {
  const auto labels = ten_labels(1000);
  const auto partition = partition_sampled(labels, 1'000'000, 60, 0.3, 1).value();
  EXPECT_EQ(partition->clients(), 1'000'000u);
  std::vector<std::uint32_t> first, again, other;
  partition->examples_of(999'999, first);
  partition->examples_of(999'999, again);
  partition->examples_of(5, other);
  EXPECT_EQ(first.size(), 60u);
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
}

TEST(Partition, RefusesMoreClientsThanExamples) {
  EXPECT_EQ(partition_uniform(5, 6, 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(partition_uniform(5, 0, 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(partition_dirichlet(ten_labels(10), 5, 0, 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(partition_natural(std::vector<std::uint32_t>{0, 2}).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(Population, DrawsACohortWithoutReplacementAndAnotherEveryRound) {
  const auto population = Population::create(100, 1, {}, {}).value();
  const auto nobody = [](std::uint64_t) { return std::size_t{1}; };
  const auto first = population.play_round(1, 0, {.size = 40}, {}, nobody);
  const auto second = population.play_round(2, 0, {.size = 40}, {}, nobody);
  EXPECT_EQ(std::set(first.reported.begin(), first.reported.end()).size(), 40u);
  EXPECT_TRUE(std::is_sorted(first.reported.begin(), first.reported.end()));
  EXPECT_NE(first.reported, second.reported);
  EXPECT_EQ(first.seconds, 0);
}

TEST(Population, TakesTheFirstToReportAndLosesTheRest) {
  const auto population =
      Population::create(10'000, 1, {.enabled = true, .available = 0.5, .drop = 0.1}, {}).value();
  const auto examples = [](std::uint64_t) { return std::size_t{100}; };
  const CohortSpec spec{.size = 100, .size_min = 80, .over_selection = 1.3};
  const auto cohort =
      population.play_round(3, 1000, spec, {.epochs = 1, .bytes_up = 1000}, examples);
  EXPECT_EQ(cohort.asked, 130u);
  EXPECT_EQ(cohort.reported.size(), 100u);
  EXPECT_EQ(cohort.lost.size(), 30u);
  EXPECT_GT(cohort.seconds, 0);
  EXPECT_LT(cohort.seconds, spec.deadline_s);
  for (const std::uint64_t client : cohort.reported)
    EXPECT_TRUE(population.available(client, 1000));
}

TEST(Population, GivesUpARoundThatNobodyFinishesInTime) {
  const auto population =
      Population::create(100, 1, {.enabled = true, .examples_per_s = 0.001}, {}).value();
  const auto cohort = population.play_round(1, 0, {.size = 10, .deadline_s = 60}, {},
                                            [](std::uint64_t) { return std::size_t{100}; });
  EXPECT_FALSE(cohort.complete);
  EXPECT_TRUE(cohort.reported.empty());
  EXPECT_EQ(cohort.seconds, 60);
}

}  // namespace
}  // namespace inkling
