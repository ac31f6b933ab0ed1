#include "server-sim/chaos/crash_disk.h"

#include <gtest/gtest.h>

#include "storage/database.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

class CrashDiskTest : public ScratchTest {
 protected:
  static constexpr int kRows = 10;
  static constexpr std::string_view kSchema[] = {
      "CREATE TABLE row (id INTEGER PRIMARY KEY, twin BLOB)"};

  // Opens and fills the database until something fails; the rows that were acknowledged.
  static int fill(const Path& path) {
    auto database = Database::open(path);
    if (!database || !database->migrate(1, kSchema)) return 0;
    int acknowledged = 0;
    for (int row = 0; row < kRows; ++row) {
      if (!database->run(concat("INSERT INTO row VALUES (", row, ", zeroblob(5000))"))) break;
      ++acknowledged;
    }
    return acknowledged;
  }
};

TEST_F(CrashDiskTest, AtWhateverWriteItStopsTheCommittedRowsAreThereAndNoOthers) {
  std::uint64_t needed = 0;
  bool stopped = true;
  for (std::uint64_t writes = 0; stopped; ++writes) {
    CrashDisk disk = CrashDisk::create(folder_ / concat("after", writes)).value();
    const Path path = disk.folder() / "rows.sqlite";
    disk.stop_after(writes);
    const int acknowledged = fill(path);
    stopped = disk.stopped();
    disk.revive();
    auto database = Database::open(path);
    ASSERT_TRUE(database) << database.error().message;
    ASSERT_TRUE(database->migrate(1, kSchema));
    EXPECT_EQ(database->integer("SELECT count(*) FROM row"), acknowledged) << writes;
    EXPECT_TRUE(stopped || acknowledged == kRows) << writes;
    needed = writes;
  }
  EXPECT_GT(needed, 3u * kRows);  // each row is two pages or more
}

TEST_F(CrashDiskTest, AStoppedDiskTakesNothingAndOtherFoldersAreNotIts) {
  CrashDisk disk = CrashDisk::create(folder_ / "disk").value();
  disk.stop();
  EXPECT_EQ(fill(disk.folder() / "rows.sqlite"), 0);
  EXPECT_EQ(fill(folder_ / "elsewhere" / "rows.sqlite"), kRows);
  disk.revive();
  EXPECT_FALSE(disk.stopped());
  EXPECT_EQ(fill(disk.folder() / "rows.sqlite"), kRows);
}

}  // namespace
}  // namespace inkling
