#include "autograd/data/table.h"

#include <gmock/gmock.h>
#include <sqlite3.h>

#include "autograd/data/split.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TableTest : public ScratchTest {
 protected:
  Path file(std::string_view text) {
    const Path path = folder_ / "data.csv";
    EXPECT_TRUE(write_file(path, as_bytes(text)));
    return path;
  }
  Error refusal(std::string_view text, TableSource source = {}) {
    source.path = file(text);
    const auto table = read_table(source);
    EXPECT_FALSE(table) << text;
    return table ? Error{} : table.error();
  }
  Path database(const char* sql) {
    const Path path = folder_ / "data.sqlite";
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
    return path;
  }
};

TEST_F(TableTest, ReadsNumbersLabelsAndGroups) {
  const auto table =
      read_table({.path = file("who,x,label,note,y\nanna,1,b,hm,-2.5\nbert, +3e1 ,a,,0x\n"),
                  .group = "who",
                  .ignored = {"note", "y"}});
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_THAT(table->columns, ElementsAre("x"));
  EXPECT_THAT(table->values, ElementsAre(1, 30));
  EXPECT_THAT(table->classes, ElementsAre("a", "b"));
  EXPECT_THAT(table->labels, ElementsAre(1, 0));
  EXPECT_THAT(table->groups, ElementsAre("anna", "bert"));
  EXPECT_THAT(table->names, ElementsAre("line 2", "line 3"));
}

TEST_F(TableTest, TakesColumnsAndClassesAsAnotherTableHasThem) {
  const auto table = read_table({.path = file("label,y,x,z\nq,1,2,?\np,3,4,?\n"),
                                 .columns = {"x", "y"},
                                 .classes = {"q", "r", "p"}});
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_THAT(table->values, ElementsAre(2, 1, 4, 3));
  EXPECT_THAT(table->labels, ElementsAre(0, 2));
}

TEST_F(TableTest, OrdersWholeNumbersAsNumbers) {
  const auto table = read_table({.path = file("label,x\n10,0\n9,0\n-1,0\n")});
  ASSERT_TRUE(table);
  EXPECT_THAT(table->classes, ElementsAre("-1", "9", "10"));
}

TEST_F(TableTest, NamesWhatIsWrong) {
  const struct {
    const char* text;
    ErrorCode code;
    const char* message;
  } kCases[] = {
      {"", ErrorCode::kInvalidArgument, "the file is empty"},
      {"label,x\n", ErrorCode::kInvalidArgument, "no rows"},
      {"kind,x\na,1\nb,2\n", ErrorCode::kNotFound,
       "no label column 'label' among the columns kind, x"},
      {"label,x,x\na,1,1\nb,2,2\n", ErrorCode::kInvalidArgument, "two columns are named 'x'"},
      {"label\na\nb\n", ErrorCode::kInvalidArgument, "no column of numbers"},
      {"label,x\na,1\nb,two\n", ErrorCode::kCorrupt, "line 3, column 'x': got 'two'"},
      {"label,x\na,1\nb,\n", ErrorCode::kCorrupt, "line 3, column 'x': got ''"},
      {"label,x\na,nan\nb,1\n", ErrorCode::kCorrupt, "line 2, column 'x': got 'nan'"},
      {"label,x\na,1\nb,-inf\n", ErrorCode::kCorrupt, "got '-inf'"},
      {"label,x\na,1\nb,1e39\n", ErrorCode::kCorrupt, "got '1e39'"},
      {"label,x\na,1\nb,1 2\n", ErrorCode::kCorrupt, "got '1 2'"},
      {"label,x\na,1\nb\n", ErrorCode::kCorrupt, "line 3: 1 cells, the header has 2"},
      {"label,x\na,1\nb,2,3\n", ErrorCode::kCorrupt, "line 3: 3 cells"},
      {"label,x\na,1\n,2\n", ErrorCode::kCorrupt, "line 3, column 'label'"},
      {"label,x\na,1\na,2\n", ErrorCode::kInvalidArgument, "has one class, 'a'"},
      {"label,x\n\"a,1\n", ErrorCode::kCorrupt, "line 2: a quote"},
  };
  for (const auto& c : kCases) {
    const Error error = refusal(c.text);
    EXPECT_EQ(error.code, c.code) << c.text;
    EXPECT_THAT(error.message, HasSubstr(c.message));
    EXPECT_THAT(error.message, HasSubstr("data.csv"));
    EXPECT_EQ(error.message.find('\n'), std::string::npos);
  }
  EXPECT_THAT(refusal("label,x\na,1\nb,2\n", {.group = "who"}).message, HasSubstr("group column"));
  EXPECT_THAT(refusal("label,x\na,1\nb,2\n", {.ignored = {"y"}}).message, HasSubstr("ignore"));
  EXPECT_THAT(refusal("label,x,who\na,1,z\nb,2,\n", {.group = "who"}).message,
              HasSubstr("line 3, column 'who'"));
  EXPECT_THAT(refusal("label,x\na,1\nb,2\n", {.classes = {"a", "c"}}).message,
              HasSubstr("line 3: label 'b' is not one of the 2 classes"));
  EXPECT_EQ(read_table({.path = folder_ / "none.csv"}).error().code, ErrorCode::kNotFound);
}

TEST_F(TableTest, RefusesALabelThatIsANumberToPredict) {
  std::string text = "label,x\n";
  for (std::size_t i = 0; i < kTableClassesMax; ++i) text += concat(i, ",1\n");
  EXPECT_TRUE(read_table({.path = file(text)}));
  EXPECT_THAT(refusal(text + "1.5,1\n").message, HasSubstr("1001 classes"));
}

TEST_F(TableTest, ReadsATableOfADatabase) {
  const Path path = database(
      "CREATE TABLE visits(label TEXT, \"a \"\"b\" REAL, n INTEGER);"
      "INSERT INTO visits VALUES ('x', 0.1, 7), ('y', 1e300 / 1e299, -3)");
  const auto table = read_table({.path = path});
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_THAT(table->columns, ElementsAre("a \"b", "n"));
  EXPECT_THAT(table->values, ElementsAre(0.1f, 7, 10, -3));
  EXPECT_THAT(table->names, ElementsAre("row 1", "row 2"));
}

TEST_F(TableTest, RefusesWhatADatabaseDoesNotHave) {
  const Path path = database(
      "CREATE TABLE a(label, x); INSERT INTO a VALUES ('p', 1), ('q', NULL);"
      "CREATE TABLE b(label, x); CREATE VIEW v AS SELECT * FROM a");
  EXPECT_THAT(read_table({.path = path}).error().message, HasSubstr("2 tables, name one: a, b"));
  EXPECT_EQ(read_table({.path = path, .table = "v"}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_table({.path = path, .table = "c"}).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(read_table({.path = path, .table = "a"}).error().message,
              HasSubstr("row 2, column 'x': got ''"));
  EXPECT_THAT(read_table({.path = path, .table = "b"}).error().message, HasSubstr("no rows"));
  ASSERT_TRUE(write_file(path, as_bytes(concat("SQLite format 3", '\0', "and then nothing"))));
  EXPECT_EQ(read_table({.path = path}).error().code, ErrorCode::kCorrupt);
}

TEST_F(TableTest, NoGroupIsOnBothSidesOfASplit) {
  std::string text = "label,x,who\n";
  for (int i = 0; i < 200; ++i) text += concat(i % 3 == 0 ? "a" : "b", ",", i, ",p", i % 17, "\n");
  const auto table = read_table({.path = file(text), .group = "who"});
  ASSERT_TRUE(table) << table.error().message;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Split split = split_rows(table->labels, table->groups, 0.3, seed);
    EXPECT_EQ(split.train.size() + split.validation.size(), 200u);
    EXPECT_GT(split.validation.size(), 20u);
    for (const std::size_t held : split.validation) {
      for (const std::size_t row : split.train) EXPECT_NE(table->groups[held], table->groups[row]);
    }
  }
}

}  // namespace
}  // namespace inkling
