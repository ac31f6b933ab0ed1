#include "tools/datasets/choice_log.h"

#include <gmock/gmock.h>

#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ChoiceLog : public ScratchTest {
 protected:
  Result<ChoiceData> load(const char* name, std::string_view text) {
    EXPECT_TRUE(write_file(folder_ / name, as_bytes(text)));
    return load_choice_log(folder_ / name);
  }
};

constexpr const char* kCsv =
    "user,request,time_ms,item,position,chosen,server_score,brand,price\r\n"
    "ann,r2,2000,1,1,1,0.5,\"a \"\"big\"\", one\",1.5\n"
    "ann,r2,2000,2,0,0,0.7,b,\n"
    "ann,r1,1000,1,0,true,0.1,b,2.5\n"
    "ann,r1,1000,3,1,,0.2,c,3.5\n"
    "bob,r1,500,9,0,1,0,b,2\n";

TEST_F(ChoiceLog, CsvBecomesPeopleInTimeOrder) {
  const auto data = load("log.csv", kCsv);
  ASSERT_TRUE(data) << data.error().message;
  ASSERT_EQ(data->people.size(), 2u);
  const Person& ann = data->people[0];
  ASSERT_EQ(ann.train.size() + ann.test.size(), 2u);
  EXPECT_EQ(ann.train[0].time_ms, 1000);
  EXPECT_THAT(ann.train[0].chosen, ElementsAre(0u));
  const Slate& second = ann.train.size() == 2 ? ann.train[1] : ann.test[0];
  EXPECT_EQ(second.candidates[0].item, 2u);  // by position
  EXPECT_THAT(second.chosen, ElementsAre(1u));
  EXPECT_EQ(data->schema.column_names()[0], "brand=b");  // the most frequent first
  EXPECT_EQ(data->schema.width(), 3u + 1u + 1u);
  for (const Person& person : data->people)
    for (const Slate& slate : person.train) EXPECT_TRUE(data->schema.encode(slate.candidates));
}

TEST_F(ChoiceLog, JsonLinesSayTheSame) {
  const auto data =
      load("log.jsonl",
           "{\"user\":\"ann\",\"request\":1,\"item\":5,\"chosen\":true,\"price\":2}\n\n"
           "{\"user\":\"ann\",\"request\":1,\"item\":6,\"chosen\":0,\"brand\":\"x\"}\n");
  ASSERT_TRUE(data) << data.error().message;
  ASSERT_EQ(data->people.size(), 1u);
  EXPECT_EQ(data->people[0].train[0].candidates.size(), 2u);
}

TEST_F(ChoiceLog, WhatIsWrongIsNamedByLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"user,request,item\n", "no rows"},
      {"user,request,item\na,1,2\n", "no column 'chosen'"},
      {"user,user,request,item,chosen\na,b,1,2,0\n", "two columns named 'user'"},
      {"user,request,item,chosen\na,1,2\n", "line 2: 3 fields, expected 4"},
      {"user,request,item,chosen\na,1,two,0\n", "line 2: item 'two'"},
      {"user,request,item,chosen\na,1,2,0\na,1,3,maybe\n", "line 3: 'maybe'"},
      {"user,request,item,chosen,time_ms\na,1,2,0,noon\n", "line 2: time_ms 'noon'"},
      {"user,request,item,chosen\na,1,2,\"0\n", "never closed"}};
  for (const auto& [text, expected] : cases) {
    const auto data = load("log.csv", text);
    ASSERT_FALSE(data) << text;
    EXPECT_THAT(data.error().message, HasSubstr(expected));
    EXPECT_THAT(data.error().message, HasSubstr("log.csv"));
  }
  EXPECT_THAT(load("log.jsonl", "[1]\n").error().message, HasSubstr("line 1: not a JSON object"));
  EXPECT_THAT(load("log.jsonl", "{\"user\":[1]}\n").error().message, HasSubstr("a list"));
}

}  // namespace
}  // namespace inkling
