#include "autograd/data/csv.h"

#include <gmock/gmock.h>

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Records = std::vector<std::vector<std::string>>;

Result<Records> records_of(std::string_view text) {
  CsvReader reader(text);
  Records records;
  std::vector<std::string> cells;
  while (true) {
    INK_TRY(const bool more, reader.next(cells));
    if (!more) return records;
    records.push_back(cells);
  }
}

TEST(Csv, ReadsRecords) {
  const struct {
    std::string_view text;
    Records records;
  } kCases[] = {
      {"", {}},
      {"\n\r\n\n", {}},
      {"a", {{"a"}}},
      {"a\n", {{"a"}}},
      {"a,b\r\nc,d\n", {{"a", "b"}, {"c", "d"}}},
      {"\xef\xbb\xbf"
       "a,b",
       {{"a", "b"}}},
      {"a,,b,\n", {{"a", "", "b", ""}}},
      {",", {{"", ""}}},
      {"\"a,b\",\"c\nd\",\"e\"\"f\"\r\ng", {{"a,b", "c\nd", "e\"f"}, {"g"}}},
      {"\"\"\n", {{""}}},
      {"a\rb\n", {{"a\rb"}}},
      {" a , b ", {{" a ", " b "}}},
  };
  for (const auto& c : kCases) {
    const auto records = records_of(c.text);
    ASSERT_TRUE(records) << c.text << ": " << records.error().message;
    EXPECT_EQ(*records, c.records) << c.text;
  }
}

TEST(Csv, KnowsTheLineOfARecord) {
  CsvReader reader("a\n\n\"b\nc\",d\ne\n");
  std::vector<std::string> cells;
  for (const std::size_t line : {1u, 3u, 5u}) {
    ASSERT_TRUE(*reader.next(cells));
    EXPECT_EQ(reader.line(), line);
  }
  EXPECT_FALSE(*reader.next(cells));
}

TEST(Csv, RefusesWhatIsNotCsvAndNamesTheLine) {
  const struct {
    std::string_view text;
    const char* message;
  } kCases[] = {
      {"a\nb\"c\n", "line 2: a quote inside"},
      {"a\n\"b\nc", "line 2: a quote that is not closed"},
      {"\"a\nb\"c", "line 2: text after a closing quote"},
      {std::string_view("a\0b", 3), "line 1: a zero byte"},
      {std::string_view("\"a\0b\"", 5), "line 1: a zero byte"},
  };
  for (const auto& c : kCases) {
    const auto records = records_of(c.text);
    ASSERT_FALSE(records) << c.text;
    EXPECT_EQ(records.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(records.error().message, HasSubstr(c.message));
  }
}

TEST(Csv, LimitsTheCellsOfARecord) {
  std::string text(kCsvCellsMax - 1, ',');
  EXPECT_EQ((*records_of(text))[0].size(), kCsvCellsMax);
  text += ',';
  EXPECT_EQ(records_of(text).error().code, ErrorCode::kResourceLimit);
}

}  // namespace
}  // namespace inkling
