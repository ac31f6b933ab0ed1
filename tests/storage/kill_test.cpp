// kill -9 on the writer of a behaviour log: no acknowledged row may be lost.

#include <signal.h>
#include <sys/wait.h>

#include "runtime/base/rng.h"
#include "storage/behavior_log.h"
#include "tests/storage/events.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

constexpr std::uint64_t kBatch = 5;
// No cap may hide what is missing.
constexpr Retention kKeepAll = {.rows_max = 1u << 30, .bytes_max = 1u << 30};

class KillTest : public ScratchTest {};

// Appends batches numbered from `first` and acknowledges the last number of each; never returns.
[[noreturn]] void write_until_killed(const Path& file, std::uint64_t first, int acks) {
  SystemClock clock;
  auto log = BehaviorLog::open(file, {.retention = kKeepAll}, clock);
  if (!log) ::_exit(1);
  while (true) {
    std::vector<Event> batch;
    for (std::uint64_t i = 0; i < kBatch; ++i, ++first) {
      Event e = event_at(clock.unix_ms());
      e.request = first;
      batch.push_back(e);
    }
    const std::uint64_t last = first - 1;
    if (!log->append(batch) || ::write(acks, &last, sizeof last) != sizeof last) ::_exit(1);
  }
}

TEST_F(KillTest, NoAcknowledgedRowIsLost) {
  const Path file = folder_ / "behavior.db";
  Rng rng(3, "kill");
  std::uint64_t next = 0;
  std::uint64_t acknowledged = 0;
  for (int kill = 0, kills = repetitions(20, 200); kill < kills; ++kill) {
    int acks[2];
    ASSERT_EQ(::pipe(acks), 0);
    const pid_t writer = ::fork();
    ASSERT_GE(writer, 0);
    if (writer == 0) {
      ::close(acks[0]);
      write_until_killed(file, next, acks[1]);
    }
    ::close(acks[1]);
    std::uint64_t last = 0;
    std::uint64_t acked_in_run = 0;
    const auto lifetime_us = static_cast<useconds_t>(10'000 + rng.below(110'000));
    ::usleep(lifetime_us);
    ::kill(writer, SIGKILL);
    while (::read(acks[0], &last, sizeof last) == sizeof last) acked_in_run = last + 1;
    ::close(acks[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(writer, &status, 0), writer);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed on its own";
    acknowledged = std::max(acknowledged, acked_in_run);

    SystemClock clock;
    auto log = BehaviorLog::open(file, {.retention = kKeepAll}, clock);
    ASSERT_TRUE(log) << log.error().message;
    ASSERT_FALSE(log->quarantine());
    std::vector<bool> seen;
    const auto report = log->scan({}, [&](const Event& e) {
      if (seen.size() <= e.request) seen.resize(e.request + 1);
      ASSERT_FALSE(seen[e.request]) << "row " << e.request << " twice";
      seen[e.request] = true;
    });
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->damaged, 0u);
    EXPECT_GE(seen.size(), acknowledged);
    EXPECT_EQ(report->rows, seen.size()) << "a row in the middle is lost";
    EXPECT_EQ(seen.size() % kBatch, 0u) << "a batch was torn";
    next = seen.size();
  }
  EXPECT_GT(next, 100u);
}

}  // namespace
}  // namespace inkling
