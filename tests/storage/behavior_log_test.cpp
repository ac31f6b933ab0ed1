#include "storage/behavior_log.h"

#include <gmock/gmock.h>

#include <cmath>
#include <utility>

#include "runtime/base/rng.h"
#include "tests/storage/events.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class BehaviorLogTest : public ScratchTest {
 protected:
  Path file() const { return folder_ / "behavior.db"; }
  BehaviorLog open(Retention retention = {}) {
    auto log = BehaviorLog::open(file(), {.retention = retention}, clock_);
    EXPECT_TRUE(log) << log.error().message;
    return *std::move(log);
  }
  static std::vector<std::int64_t> times(BehaviorLog& log, TimeRange range = {}) {
    std::vector<std::int64_t> out;
    for (const Event& e : events_of(log, range)) out.push_back(e.time_ms);
    return out;
  }
  VirtualClock clock_{1'000'000};
};

TEST_F(BehaviorLogTest, ReadsBackEveryFieldAfterReopening) {
  const std::vector<Event> events = {event_at(1, 1), event_at(2, 2)};
  {
    BehaviorLog log = open();
    ASSERT_TRUE(log.append(events));
  }
  BehaviorLog log = open();
  EXPECT_EQ(events_of(log), events);
  EXPECT_EQ(*log.rows(), 2u);
  EXPECT_FALSE(log.quarantine());
}

TEST_F(BehaviorLogTest, VisitsTheRangeInTheOrderOfAppending) {
  BehaviorLog log = open();
  ASSERT_TRUE(log.append(std::vector<Event>{event_at(30), event_at(10, 1), event_at(20)}));
  ASSERT_TRUE(log.append(std::vector<Event>{event_at(10, 2)}));
  EXPECT_THAT(times(log), ElementsAre(30, 10, 20, 10));
  EXPECT_THAT(times(log, {.begin_ms = 10, .end_ms = 20}), ElementsAre(10, 10));
  EXPECT_THAT(times(log, {.begin_ms = 20, .end_ms = 31}), ElementsAre(30, 20));
}

TEST_F(BehaviorLogTest, RefusesEventsThatCannotBeStoredAndStoresNoneOfTheBatch) {
  BehaviorLog log = open();
  const auto refused = [&](auto change) {
    Event bad = event_at(2);
    change(bad);
    const auto result = log.append(std::vector<Event>{event_at(1), bad});
    EXPECT_FALSE(result);
    return result ? std::string() : result.error().message;
  };
  EXPECT_EQ(refused([](Event& e) { e.propensity = 0; }),
            "append: event 1: propensity is 0, expected a probability in (0, 1]");
  EXPECT_NE(refused([](Event& e) { e.propensity = std::nan(""); }), "");
  EXPECT_NE(refused([](Event& e) { e.propensity = 1.001; }), "");
  EXPECT_NE(refused([](Event& e) { e.server_score = INFINITY; }), "");
  EXPECT_NE(refused([](Event& e) { e.scroll = std::nan(""); }), "");
  EXPECT_NE(refused([](Event& e) { e.kind = EventKind{0}; }), "");
  EXPECT_NE(refused([](Event& e) { e.kind = EventKind{12}; }), "");
  EXPECT_NE(refused([](Event& e) { e.features.assign(kEventFeaturesMax + 1, 0); }), "");
  EXPECT_NE(refused([](Event& e) { e.features[0] = INFINITY; }), "");
  EXPECT_EQ(log.append(std::vector<Event>(kAppendEventsMax + 1)).error().code,
            ErrorCode::kResourceLimit);
  EXPECT_EQ(*log.rows(), 0u);
  Event widest = event_at(1);
  widest.features.assign(kEventFeaturesMax, 1);
  EXPECT_TRUE(log.append(std::vector<Event>(kAppendEventsMax, widest)));
}

TEST_F(BehaviorLogTest, KeepsTheNewestRowsWhateverTheAppendOrder) {
  BehaviorLog log = open({.rows_max = 3});
  ASSERT_TRUE(log.append(std::vector<Event>{event_at(5), event_at(1), event_at(4)}));
  ASSERT_TRUE(log.append(std::vector<Event>{event_at(2), event_at(3)}));
  EXPECT_THAT(times(log), ElementsAre(5, 4, 3));
  EXPECT_EQ(*log.rows(), 3u);
}

TEST_F(BehaviorLogTest, DropsRowsOverTheAgeAtTheNextAppend) {
  BehaviorLog log = open({.age_ms_max = 100});
  const std::int64_t now = clock_.unix_ms();
  ASSERT_TRUE(log.append(std::vector<Event>{event_at(now - 101), event_at(now - 100)}));
  EXPECT_THAT(times(log), ElementsAre(now - 100));
  clock_.advance(50);
  ASSERT_TRUE(log.append(std::vector<Event>{event_at(now + 50)}));
  EXPECT_THAT(times(log), ElementsAre(now + 50));
}

TEST_F(BehaviorLogTest, StaysUnderTheByteCapAfterEveryAppend) {
  const std::uint64_t cap = 128 * 1024;
  BehaviorLog log = open({.bytes_max = cap});
  std::int64_t time = 0;
  for (int batch = 0; batch < 60; ++batch) {
    std::vector<Event> events;
    for (int i = 0; i < 50; ++i) events.push_back(event_at(++time));
    ASSERT_TRUE(log.append(events));
    ASSERT_LE(*log.used_bytes(), cap);
  }
  const auto left = times(log);
  EXPECT_GT(left.size(), 500u);
  EXPECT_LT(left.size(), 3000u);
  EXPECT_EQ(left.back(), time);
  EXPECT_EQ(left.back() - left.front() + 1, static_cast<std::int64_t>(left.size()));
}

TEST_F(BehaviorLogTest, ARetentionThatKeepsNothingIsRefused) {
  for (const Retention bad : {Retention{.rows_max = 0}, Retention{.bytes_max = kLogBytesMin - 1},
                              Retention{.age_ms_max = 0}}) {
    EXPECT_EQ(BehaviorLog::open(file(), {.retention = bad}, clock_).error().code,
              ErrorCode::kInvalidArgument);
  }
  open({.rows_max = 1, .bytes_max = kLogBytesMin, .age_ms_max = 1});
}

TEST_F(BehaviorLogTest, AReaderSeesASnapshotWhileTheWriterAppends) {
  BehaviorLog writer = open();
  BehaviorLog reader = open();
  ASSERT_TRUE(writer.append(std::vector<Event>{event_at(1), event_at(2)}));
  std::size_t seen = 0;
  const auto report = reader.scan({}, [&](const Event&) {
    ++seen;
    EXPECT_TRUE(writer.append(std::vector<Event>{event_at(3)}));
  });
  ASSERT_TRUE(report);
  EXPECT_EQ(seen, 2u);
  EXPECT_EQ(*reader.rows(), 4u);
}

TEST_F(BehaviorLogTest, TwoWritersShareTheRowCap) {
  BehaviorLog a = open({.rows_max = 10});
  BehaviorLog b = open({.rows_max = 10});
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE((i % 2 == 0 ? a : b).append(std::vector<Event>{event_at(i)}));
  EXPECT_EQ(*a.rows(), 10u);
  EXPECT_EQ(times(b).front(), 10);
}

TEST_F(BehaviorLogTest, ForgetsARangeAnItemAndEverything) {
  BehaviorLog log = open();
  std::vector<Event> events;
  for (int t = 0; t < 10; ++t) events.push_back(event_at(t, static_cast<std::uint64_t>(t) % 2));
  ASSERT_TRUE(log.append(events));
  EXPECT_EQ(*log.forget({.begin_ms = 2, .end_ms = 4}), 2u);
  EXPECT_THAT(times(log), ElementsAre(0, 1, 4, 5, 6, 7, 8, 9));
  EXPECT_EQ(*log.forget_item(events[1].item), 4u);
  EXPECT_THAT(times(log), ElementsAre(0, 4, 6, 8));
  EXPECT_EQ(*log.rows(), 4u);
  EXPECT_EQ(*log.erase_all(), 4u);
  EXPECT_EQ(*log.erase_all(), 0u);
  EXPECT_EQ(*log.rows(), 0u);
}

TEST_F(BehaviorLogTest, ForgottenBytesAreInNoFile) {
  // Features are stored as they are, so their bytes make a canary that can be searched for.
  const auto canary = [](std::uint32_t n) {
    std::vector<float> features(40);
    for (std::size_t i = 0; i < features.size(); ++i)
      features[i] = static_cast<float>(n) + static_cast<float>(i) / 64.0f;
    return features;
  };
  const auto needle = [&](std::uint32_t n) {
    const auto features = canary(n);
    return std::string(reinterpret_cast<const char*>(features.data() + 2), 16);
  };
  BehaviorLog log = open();
  Rng rng(5, "forget");
  for (std::uint32_t batch = 0; batch < 40; ++batch) {
    std::vector<Event> events;
    for (std::uint32_t i = 0; i < 25; ++i) {
      Event e = event_at(static_cast<std::int64_t>(rng.below(1000)), i);
      e.features = canary(1000 + 100 * batch + i);
      e.item = i;
      events.push_back(e);
    }
    ASSERT_TRUE(log.append(events));
  }
  ASSERT_FALSE(files_with(needle(1000)).empty());
  ASSERT_FALSE(files_with(needle(1007)).empty());

  EXPECT_EQ(*log.forget_item(7), 40u);
  for (std::uint32_t batch = 0; batch < 40; ++batch)
    EXPECT_THAT(files_with(needle(1007 + 100 * batch)), IsEmpty()) << batch;
  EXPECT_FALSE(files_with(needle(1000)).empty());

  ASSERT_GT(*log.forget({.begin_ms = 0, .end_ms = 500}), 0u);
  std::vector<std::string> left;
  for (const Event& e : events_of(log))
    left.emplace_back(reinterpret_cast<const char*>(e.features.data() + 2), 16);
  for (std::uint32_t batch = 0; batch < 40; ++batch) {
    for (std::uint32_t i = 0; i < 25; i += 6) {
      const std::string bytes = needle(1000 + 100 * batch + i);
      const bool kept = std::find(left.begin(), left.end(), bytes) != left.end();
      EXPECT_EQ(files_with(bytes).empty(), !kept) << batch << " " << i;
    }
  }
  ASSERT_GT(*log.erase_all(), 0u);
  EXPECT_THAT(files_with(left.front()), IsEmpty());
}

TEST_F(BehaviorLogTest, AReaderThatHoldsOldCopiesIsReported) {
  BehaviorLog log = *BehaviorLog::open(file(), {.busy_timeout_ms = 10}, clock_);
  BehaviorLog reader = open();
  ASSERT_TRUE(log.append(std::vector<Event>{event_at(1), event_at(2)}));
  bool asked = false;
  ASSERT_TRUE(reader.scan({}, [&](const Event&) {
    if (std::exchange(asked, true)) return;
    const auto erased = log.erase_all();
    ASSERT_FALSE(erased);
    EXPECT_EQ(erased.error().code, ErrorCode::kFailedPrecondition);
  }));
  EXPECT_TRUE(log.erase_all());
  EXPECT_EQ(*reader.rows(), 0u);
}

}  // namespace
}  // namespace inkling
