// kill -9 of the server or of a device in place of every single write to its database, whole or
// half done; then it starts again. The sum is the same, nothing is said twice in two ways, and no
// client is ever unmasked.

#include <gtest/gtest.h>

#include "tests/server_sim/kill_world.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

class KillPoints : public ScratchTest {
 protected:
  // In memory, where there is such a place: what a killed process has written stays, and nothing
  // waits for a disk.
  Path scratch() const {
    const Path memory("/dev/shm");
    std::error_code error;
    return std::filesystem::is_directory(memory, error) ? memory / folder_.filename() : folder_;
  }
  void TearDown() override {
    std::filesystem::remove_all(scratch());
    ScratchTest::TearDown();
  }

  // The round as it is when nobody is killed, then once for every write of the victim.
  void kill_at_every_write(const KillWorld::Spec& spec, int victim) {
    std::set<std::size_t> counted;
    for (std::size_t i = 0; i < spec.devices; ++i) {
      if (spec.late != i) counted.insert(i);
    }
    const auto survivors = static_cast<std::uint32_t>(counted.size());
    std::vector<std::uint64_t> expected;
    std::uint64_t writes = 1;  // known after the first round, in which nobody is killed
    for (std::uint64_t write = 0; write <= writes; ++write) {
      for (const bool tears : {false, true}) {
        if (write == 0 && tears) continue;
        SCOPED_TRACE(concat(tears ? "half of" : "before", " write ", write, " of ", writes));
        const Path folder = scratch() / "world";
        KillWorld world(folder, spec, {.victim = victim, .write = write, .tears = tears});
        ASSERT_TRUE(world.run()) << "the round never ended";
        ASSERT_EQ(world.sins(), std::vector<std::string>());
        ASSERT_EQ(world.kills(), write == 0 ? 0 : 1);
        const auto reports = world.reports();
        ASSERT_EQ(reports.size(), 1u);
        ASSERT_EQ(reports[0].code, secagg::RoundCode::kOk) << reports[0].reason;
        ASSERT_EQ(reports[0].survivors, survivors);
        ASSERT_EQ(reports[0].sum, world.plain_sum({1, 1}, counted));
        for (std::size_t i = 0; i < spec.devices; ++i) ASSERT_EQ(world.ledger_entries(i), 1u) << i;
        if (write == 0) {
          expected = reports[0].sum;
          writes = world.writes();
          ASSERT_GE(writes, 20u) << "the writes are not seen";
        }
        ASSERT_EQ(reports[0].sum, expected);
        std::filesystem::remove_all(folder);
      }
    }
    RecordProperty("kills", static_cast<int>(2 * writes));
    std::printf("%d kills\n", static_cast<int>(2 * writes));
  }
};

TEST_F(KillPoints, TheServerWhenEveryoneStays) { kill_at_every_write({}, KillPoint::kServer); }

TEST_F(KillPoints, TheServerInStrictMode) {
  kill_at_every_write({.mode = secagg::Mode::kStrict}, KillPoint::kServer);
}

// The masked update comes after the others were asked for the shares that would unmask it.
TEST_F(KillPoints, TheServerWhenOneIsLate) { kill_at_every_write({.late = 2}, KillPoint::kServer); }

TEST_F(KillPoints, ADevice) { kill_at_every_write({}, 1); }

TEST_F(KillPoints, ADeviceInStrictMode) { kill_at_every_write({.mode = secagg::Mode::kStrict}, 1); }

TEST_F(KillPoints, ADeviceThatIsLate) { kill_at_every_write({.late = 2}, 2); }

}  // namespace
}  // namespace inkling
