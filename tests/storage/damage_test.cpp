// What a damaged log file may do: be noticed. What it may not: crash, or change a row unseen.

#include <gmock/gmock.h>

#include "runtime/base/rng.h"
#include "storage/behavior_log.h"
#include "tests/storage/events.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

class DamageTest : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    BehaviorLog log = open();
    for (int i = 0; i < 300; ++i) events_.push_back(event_at(i, static_cast<std::uint64_t>(i)));
    ASSERT_TRUE(log.append(events_));
    ASSERT_TRUE(log.forget(
        {.begin_ms = -1, .end_ms = 0}));  // forgets none, but moves everything out of the -wal
  }

  Path file() const { return folder_ / "behavior.db"; }
  BehaviorLog open() {
    auto log = BehaviorLog::open(file(), {}, clock_);
    EXPECT_TRUE(log) << log.error().message;
    return *std::move(log);
  }
  void replace_file(ByteSpan bytes) {
    std::filesystem::remove_all(folder_);
    ASSERT_TRUE(write_file(file(), bytes));
  }

  VirtualClock clock_{1000};
  std::vector<Event> events_;
};

TEST_F(DamageTest, EveryChangedRowIsNoticed) {
  const Bytes good = *read_file(file());
  Rng rng(11, "flips");
  int changed = 0, damaged = 0, cut_short = 0, quarantined = 0;
  for (int trial = 0, trials = repetitions(250, 2000); trial < trials; ++trial) {
    Bytes bad = good;
    const auto flips = 1 + rng.below(4);
    for (std::uint64_t i = 0; i < flips; ++i)
      bad[static_cast<std::size_t>(rng.below(bad.size()))] ^=
          static_cast<std::uint8_t>(1u << rng.below(8));
    if (trial % 10 == 9) bad.resize(static_cast<std::size_t>(rng.below(bad.size())));
    replace_file(bad);

    auto log = BehaviorLog::open(file(), {}, clock_);
    if (!log) {  // a flip in the schema version: refused by name, never misread
      EXPECT_EQ(log.error().code, ErrorCode::kUnsupported) << log.error().message;
      continue;
    }
    std::size_t rows = 0;
    const auto report = log->scan({}, [&](const Event& e) {
      ++rows;
      const auto at = static_cast<std::size_t>(e.time_ms);
      if (at >= events_.size() || !(e == events_[at])) ++changed;
    });
    if (report && report->damaged > 0) ++damaged;
    if (!report) {
      EXPECT_EQ(report.error().code, ErrorCode::kCorrupt);
      EXPECT_TRUE(log->quarantine());
      ++cut_short;
    }
    if (log->quarantine()) ++quarantined;
    const bool noticed = !report || report->damaged > 0 || log->quarantine();
    EXPECT_TRUE(noticed || rows == events_.size()) << "trial " << trial << ": " << rows << " rows";
    const auto appended = log->append(std::vector<Event>{event_at(1000)});
    EXPECT_TRUE(appended) << "trial " << trial << ": " << appended.error().message;
  }
  EXPECT_EQ(changed, 0);
  EXPECT_GT(damaged, 50);
  EXPECT_GT(cut_short, 5);
  EXPECT_GT(quarantined, 25);
}

TEST_F(DamageTest, AHopelessFileIsSetAsideAndRankingGoesOn) {
  const Bytes noise(4096 * 3, 0x11);
  replace_file(noise);
  BehaviorLog log = open();
  ASSERT_TRUE(log.quarantine());
  EXPECT_EQ(*read_file(log.quarantine()->file), noise);
  EXPECT_NE(log.quarantine()->reason.find("not a database"), std::string::npos);
  EXPECT_EQ(*log.rows(), 0u);
  ASSERT_TRUE(log.append(events_));
  EXPECT_EQ(events_of(log), events_);
}

TEST_F(DamageTest, OnlyTheLatestDamagedFileIsKept) {
  for (int i = 0; i < 3; ++i) {
    clock_.advance(1);
    replace_file(Bytes(4096, 0x22));
    open();
    ASSERT_TRUE(write_file(file(), Bytes(4096, 0x33)));
    clock_.advance(1);
    open();
  }
  int aside = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_))
    if (entry.path().string().find(".corrupt-") != std::string::npos) ++aside;
  EXPECT_EQ(aside, 1);
}

TEST_F(DamageTest, ErasingAlsoDeletesTheFileThatWasSetAside) {
  Bytes bad = *read_file(file());
  std::fill(bad.begin(), bad.begin() + 100, std::uint8_t{0});
  const std::string needle(as_text(bad).substr(bad.size() - 40, 32));
  replace_file(bad);
  BehaviorLog log = open();
  ASSERT_TRUE(log.quarantine());
  ASSERT_FALSE(files_with(needle).empty());
  ASSERT_TRUE(log.forget_item(events_[0].item));
  EXPECT_TRUE(files_with(needle).empty());
}

}  // namespace
}  // namespace inkling
