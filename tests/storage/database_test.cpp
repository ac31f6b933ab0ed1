#include "storage/database.h"

#include <sys/stat.h>

#include <array>

#include "tests/storage/scratch.h"

namespace inkling {
namespace {

class DatabaseTest : public ScratchTest {
 protected:
  Path file() const { return folder_ / "deep" / "test.db"; }
};

constexpr std::array<std::string_view, 3> kSteps = {
    "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    "ALTER TABLE note ADD COLUMN mark INTEGER NOT NULL DEFAULT 7",
    "CREATE INDEX note_mark ON note(mark)"};
constexpr std::span<const std::string_view> kAllSteps = kSteps;

TEST_F(DatabaseTest, KeepsEveryTypeOfValue) {
  auto db = Database::open(file());
  ASSERT_TRUE(db) << db.error().message;
  ASSERT_TRUE(db->run("CREATE TABLE t(a,b,c,d)"));
  const Bytes blob = {0, 1, 0xff};
  auto insert = db->prepare("INSERT INTO t VALUES(?,?,?,?)");
  ASSERT_TRUE(insert);
  ASSERT_TRUE(insert->bind_integer(1, INT64_MIN)
                  .bind_real(2, 0.1)
                  .bind_text(3, std::string_view("a\0b", 3))
                  .bind_blob(4, blob)
                  .run());
  ASSERT_TRUE(insert->bind_integer(1, 0).bind_text(3, "").bind_blob(4, {}).run());
  EXPECT_EQ(db->changes(), 1u);

  auto select = db->prepare("SELECT *, typeof(b), typeof(c), typeof(d) FROM t ORDER BY rowid");
  ASSERT_TRUE(*select->step());
  EXPECT_EQ(select->integer(0), INT64_MIN);
  EXPECT_EQ(select->real(1), 0.1);
  EXPECT_EQ(select->text(2), std::string_view("a\0b", 3));
  EXPECT_EQ(Bytes(select->blob(3).begin(), select->blob(3).end()), blob);
  ASSERT_TRUE(*select->step());
  EXPECT_EQ(select->text(4), "null");  // a reused statement keeps no binding
  EXPECT_EQ(select->text(5), "text");
  EXPECT_EQ(select->text(6), "blob");
  EXPECT_FALSE(*select->step());
}

TEST_F(DatabaseTest, RollsBackWhatIsNotCommitted) {
  auto db = Database::open(file());
  ASSERT_TRUE(db->run("CREATE TABLE t(a)"));
  {
    auto transaction = Transaction::begin(*db);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(db->run("INSERT INTO t VALUES(1)"));
  }
  EXPECT_EQ(*db->integer("SELECT count(*) FROM t"), 0);
  {
    auto transaction = Transaction::begin(*db);
    ASSERT_TRUE(db->run("INSERT INTO t VALUES(1)"));
    ASSERT_TRUE(transaction->commit());
  }
  EXPECT_EQ(*db->integer("SELECT count(*) FROM t"), 1);
}

TEST_F(DatabaseTest, MigratesFromEveryVersionAndKeepsRows) {
  for (std::size_t version = 1; version <= kSteps.size(); ++version) {
    const Path path = folder_ / concat("v", version, ".db");
    {
      auto old = Database::open(path);
      ASSERT_TRUE(old->migrate(42, kAllSteps.first(version)));
      ASSERT_TRUE(old->run("INSERT INTO note(text) VALUES('kept')"));
    }
    auto db = Database::open(path);
    ASSERT_TRUE(db->migrate(42, kAllSteps));
    EXPECT_EQ(*db->integer("PRAGMA user_version"), 3);
    EXPECT_EQ(*db->integer("SELECT mark FROM note WHERE text = 'kept'"), 7);
  }
}

TEST_F(DatabaseTest, RefusesANewerSchemaAndAnotherApplication) {
  auto db = Database::open(file());
  ASSERT_TRUE(db->migrate(42, kAllSteps));
  const auto newer = db->migrate(42, kAllSteps.first(2));
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(newer.error().message.find("schema version 3, this build reads up to 2"),
            std::string::npos);
  EXPECT_EQ(db->migrate(43, kAllSteps).error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(db->migrate(42, kAllSteps));
}

TEST_F(DatabaseTest, AFailedMigrationChangesNothing) {
  auto db = Database::open(file());
  const std::array<std::string_view, 2> broken = {kSteps[0], "CREATE TABLE note(again)"};
  EXPECT_FALSE(db->migrate(42, broken));
  EXPECT_EQ(*db->integer("SELECT count(*) FROM sqlite_schema"), 0);
  EXPECT_EQ(*db->integer("PRAGMA user_version"), 0);
}

TEST_F(DatabaseTest, AFullFileIsAnIoErrorAndLeavesTheDatabaseUsable) {
  auto db = Database::open(file(), {.bytes_max = 16 * 4096});
  ASSERT_TRUE(db->run("CREATE TABLE t(a)"));
  auto insert = db->prepare("INSERT INTO t VALUES(?)");
  const Bytes page(3000);
  Result<void> result;
  int rows = 0;
  while ((result = insert->bind_blob(1, page).run())) ++rows;
  EXPECT_EQ(result.error().code, ErrorCode::kIo) << result.error().message;
  EXPECT_GT(rows, 5);
  EXPECT_EQ(*db->integer("SELECT count(*) FROM t"), rows);
  EXPECT_TRUE(db->run("DELETE FROM t WHERE rowid <= 2"));
  EXPECT_TRUE(insert->bind_blob(1, page).run());
}

TEST_F(DatabaseTest, TheFilesArePrivate) {
  const Path open_to_all = folder_ / "loose.db";
  ASSERT_TRUE(write_file(open_to_all, {}));
  ::chmod(open_to_all.c_str(), 0666);
  auto db = Database::open(open_to_all);
  ASSERT_TRUE(db->run("CREATE TABLE t(a)"));
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat info {};
    ASSERT_EQ(::stat(concat(open_to_all.string(), suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(DatabaseTest, OpensThroughALinkedFolderButNotALinkedFile) {
  std::filesystem::create_directory(folder_ / "real");
  std::filesystem::create_directory_symlink(folder_ / "real", folder_ / "link");
  EXPECT_TRUE(Database::open(folder_ / "link" / "a.db"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "real" / "a.db"));
  std::filesystem::create_symlink(folder_ / "real" / "a.db", folder_ / "b.db");
  EXPECT_EQ(Database::open(folder_ / "b.db").error().code, ErrorCode::kIo);
  EXPECT_EQ(Database::open(folder_ / "real").error().code, ErrorCode::kIo);
}

TEST_F(DatabaseTest, AFileOfOtherBytesIsCorrupt) {
  const Path path = folder_ / "noise.db";
  ASSERT_TRUE(write_file(path, Bytes(8192, 0x5a)));
  const auto db = Database::open(path);
  ASSERT_FALSE(db);
  EXPECT_EQ(db.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(db.error().message.find("noise.db"), std::string::npos);
}

TEST_F(DatabaseTest, ASecondWriterWaitsThenSaysSo) {
  auto first = Database::open(file());
  auto second = Database::open(file(), {.busy_timeout_ms = 10});
  ASSERT_TRUE(first->run("CREATE TABLE t(a)"));
  auto transaction = Transaction::begin(*first);
  ASSERT_TRUE(transaction);
  EXPECT_EQ(*second->integer("SELECT count(*) FROM t"), 0);
  EXPECT_EQ(second->run("INSERT INTO t VALUES(1)").error().code, ErrorCode::kFailedPrecondition);
  ASSERT_TRUE(transaction->commit());
  EXPECT_TRUE(second->run("INSERT INTO t VALUES(1)"));
}

TEST_F(DatabaseTest, AValueOverTheLimitIsRefused) {
  auto db = Database::open(file());
  ASSERT_TRUE(db->run("CREATE TABLE t(a)"));
  auto insert = db->prepare("INSERT INTO t VALUES(?)");
  const Bytes large(kDatabaseValueBytesMax + 1);
  EXPECT_EQ(insert->bind_blob(1, large).run().error().code, ErrorCode::kResourceLimit);
  EXPECT_TRUE(insert->bind_blob(1, ByteSpan(large).first(100)).run());
}

TEST_F(DatabaseTest, TriggersOfAHostileFileDoNotRun) {
  auto db = Database::open(file());
  ASSERT_TRUE(
      db->run("CREATE TABLE t(a); CREATE TABLE u(a);"
              "CREATE TRIGGER x AFTER INSERT ON t BEGIN INSERT INTO u VALUES(1); END"));
  ASSERT_TRUE(db->run("INSERT INTO t VALUES(1)"));
  EXPECT_EQ(*db->integer("SELECT count(*) FROM u"), 0);
}

}  // namespace
}  // namespace inkling
