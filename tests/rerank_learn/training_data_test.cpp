#include "rerank/learn/training_data.h"

#include <gmock/gmock.h>

#include "tests/rerank/synthetic.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using synthetic::candidate;
using ::testing::ElementsAre;

class TrainingDataTest : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    auto log = BehaviorLog::open(folder_ / "log.sqlite", {}, clock_);
    ASSERT_TRUE(log) << log.error().message;
    log_.emplace(std::move(*log));
  }
  void append(const std::vector<Event>& events) { ASSERT_TRUE(log_->append(events)); }
  TrainingData read() {
    auto data = read_training_data(*log_, synthetic::schema());
    EXPECT_TRUE(data);
    return *data;
  }

  VirtualClock clock_;
  std::optional<BehaviorLog> log_;
};

Slate slate(RequestId request, std::vector<std::size_t> chosen) {
  return {.user = 1,
          .request = request,
          .time_ms = static_cast<std::int64_t>(request) * 1000,
          .candidates = {candidate(11, 1, 2, 3), candidate(12, -1, 0.5, 0), candidate(13, 0)},
          .chosen = std::move(chosen)};
}

TEST_F(TrainingDataTest, ReadsBackTheSlatesThatWereShown) {
  const FeatureSchema schema = synthetic::schema();
  for (const RequestId request : {9u, 4u}) append(*slate_events(slate(request, {1}), schema));
  const TrainingData data = read();
  ASSERT_EQ(data.slates.size(), 2u);
  EXPECT_EQ(data.slates[0].request, 9u);  // in the order of showing
  EXPECT_EQ(data.slates[1].request, 4u);
  const EncodedSlate expected = *encode_slate(slate(9, {1}), schema);
  EXPECT_EQ(data.slates[0].features, expected.features);
  EXPECT_EQ(data.slates[0].alternatives, 3u);
  EXPECT_THAT(data.slates[0].chosen, ElementsAre(1u));
}

TEST_F(TrainingDataTest, LeavesOutWhatCannotTeach) {
  const FeatureSchema schema = synthetic::schema();
  append(*slate_events(slate(1, {}), schema));                 // nothing chosen
  append(*slate_events(slate(2, {0}), synthetic::schema(2)));  // another schema
  auto lost = *slate_events(slate(3, {2}), schema);
  lost.erase(lost.begin() + 1);  // a position lost
  append(lost);
  auto strange = *slate_events(slate(4, {2}), schema);
  strange.back().item = 99;  // the choice was never shown
  append(strange);
  append(*slate_events(slate(5, {0}), schema, EventKind::kClick));  // not the kind asked for
  append(*slate_events(slate(6, {2}), schema));
  const TrainingData data = read();
  ASSERT_EQ(data.slates.size(), 1u);
  EXPECT_EQ(data.slates[0].request, 6u);
  EXPECT_EQ(data.without_choice, 2u);
  EXPECT_EQ(data.incomplete, 3u);
}

TEST_F(TrainingDataTest, EveryChosenItemCountsOnce) {
  auto events = *slate_events(slate(1, {2}), synthetic::schema());
  events.push_back(events.back());
  events.push_back(events.back());
  events.back().item = 11;
  append(events);
  EXPECT_THAT(read().slates.at(0).chosen, ElementsAre(2u, 0u));
}

TEST_F(TrainingDataTest, AnEmptyLogHasNothing) { EXPECT_TRUE(read().slates.empty()); }

TEST_F(TrainingDataTest, EventsOfAChoiceOutsideTheSlateAreRefused) {
  EXPECT_EQ(slate_events(slate(1, {3}), synthetic::schema()).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(encode_slate(slate(1, {3}), synthetic::schema()).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(encode_slate(slate(1, {}), synthetic::schema()).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling
