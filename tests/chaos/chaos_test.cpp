#include "server-sim/chaos/chaos.h"

#include <gtest/gtest.h>

#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using ChaosTest = ScratchTest;

TEST_F(ChaosTest, NoInvariantBreaksAndEveryKindOfFaultStrikes) {
  std::size_t seeds = 0;
  const auto counts = run_chaos({.first = 0, .last = 59, .threads = 2, .folder = folder_},
                                [&](const ChaosRun& run) {
                                  ++seeds;
                                  for (const std::string& violation : run.violations)
                                    ADD_FAILURE() << "seed " << run.seed << ": " << violation;
                                });
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_EQ(seeds, 60u);
  EXPECT_GE(counts->rounds, 60u);  // each task has one or two
  for (const std::uint64_t count :
       {counts->lost, counts->duplicated, counts->delayed, counts->corrupted, counts->lies,
        counts->partitions, counts->device_crashes, counts->server_crashes, counts->cancels,
        counts->aborted_attempts}) {
    EXPECT_GT(count, 0u);
  }
}

TEST_F(ChaosTest, ASeedReplaysToTheByte) {
  const ChaosRun once = run_chaos(7, folder_ / "once").value();
  const ChaosRun again = run_chaos(7, folder_ / "again", true).value();
  EXPECT_EQ(once.digest, again.digest);
  EXPECT_EQ(once.counts.exchanges, again.counts.exchanges);
  EXPECT_TRUE(once.trace.empty());
  EXPECT_FALSE(again.trace.empty());
  EXPECT_NE(once.digest, run_chaos(8, folder_ / "other")->digest);
}

TEST_F(ChaosTest, SeedsThatEndBeforeTheyBeginAreRefused) {
  const auto none = run_chaos({.first = 2, .last = 1, .threads = 1, .folder = folder_}, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling
