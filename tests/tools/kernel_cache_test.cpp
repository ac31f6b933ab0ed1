#include "tools/kernel_cache.h"

#include <gtest/gtest.h>

namespace inkling::tools {
namespace {

class KernelCache : public testing::Test {
 protected:
  Path path_ = Path(testing::TempDir()) / concat("kernels-", ::getpid(), ".json");
  void TearDown() override { std::filesystem::remove(path_); }
  void write(std::string_view text) { ASSERT_TRUE(write_file(path_, as_bytes(text))); }
  static KernelSearch found(const std::string& node, const char* usual, const char* won) {
    KernelSearch search;
    search.nodes.push_back({.key = node, .rows = {{usual, 2e-3}, {won, 1e-3}}, .chosen = 1});
    search.choice.set(node, won);
    return search;
  }
};

TEST_F(KernelCache, GivesBackWhatWasFiled) {
  ASSERT_TRUE(update_kernel_cache(path_, found("conv2d f32[1] threads=1", "slow", "fast")));
  ASSERT_TRUE(update_kernel_cache(path_, found("conv2d f32[2] threads=1", "slow", "other")));
  const auto choice = read_kernel_cache(path_);
  ASSERT_TRUE(choice) << choice.error().message;
  EXPECT_EQ(choice->rows(),
            (std::map<std::string, std::string>{{"conv2d f32[1] threads=1", "fast"},
                                                {"conv2d f32[2] threads=1", "other"}}));
}

TEST_F(KernelCache, ForgetsAChoiceThatTheDefaultBeatsNow) {
  ASSERT_TRUE(update_kernel_cache(path_, found("a", "slow", "fast")));
  KernelSearch again = found("a", "slow", "fast");
  again.choice = {};
  ASSERT_TRUE(update_kernel_cache(path_, again));
  EXPECT_TRUE(read_kernel_cache(path_)->rows().empty());
}

TEST_F(KernelCache, KeepsOtherCpusAndDoesNotUseThem) {
  write(
      R"({"schema_version": 1, "choices": [{"cpu": "another", "node": "a", "kernel": "theirs"}]})");
  EXPECT_TRUE(read_kernel_cache(path_)->rows().empty());
  ASSERT_TRUE(update_kernel_cache(path_, found("a", "slow", "ours")));
  EXPECT_EQ(read_kernel_cache(path_)->rows().at("a"), "ours");
  EXPECT_NE(as_text(*read_file(path_)).find("theirs"), std::string_view::npos);
}

TEST_F(KernelCache, RefusesWhatIsNoSuchFileInOneLine) {
  const std::pair<const char*, ErrorCode> files[] = {
      {"", ErrorCode::kCorrupt},
      {"[]", ErrorCode::kCorrupt},
      {"{\"schema_version\": 1", ErrorCode::kCorrupt},
      {"{\"choices\": []}", ErrorCode::kCorrupt},
      {"{\"schema_version\": \"1\", \"choices\": []}", ErrorCode::kCorrupt},
      {"{\"schema_version\": 1}", ErrorCode::kCorrupt},
      {"{\"schema_version\": 1, \"choices\": {}}", ErrorCode::kCorrupt},
      {"{\"schema_version\": 1, \"choices\": [3]}", ErrorCode::kCorrupt},
      {"{\"schema_version\": 1, \"choices\": [{\"cpu\": \"c\", \"node\": \"n\"}]}",
       ErrorCode::kCorrupt},
      {"{\"schema_version\": 1, \"choices\": [{\"cpu\": 1, \"node\": \"n\", \"kernel\": \"k\"}]}",
       ErrorCode::kCorrupt},
      {"{\"schema_version\": 1, \"choices\": [], \"\xff\": 1}", ErrorCode::kCorrupt},
      {"{\"schema_version\": 2, \"choices\": []}", ErrorCode::kUnsupported}};
  for (const auto& [text, code] : files) {
    write(text);
    const auto choice = read_kernel_cache(path_);
    ASSERT_FALSE(choice) << text;
    EXPECT_EQ(choice.error().code, code) << text;
    EXPECT_NE(choice.error().message.find(path_.string()), std::string::npos) << text;
    EXPECT_EQ(choice.error().message.find('\n'), std::string::npos) << text;
    EXPECT_FALSE(update_kernel_cache(path_, found("a", "slow", "fast"))) << text;
    EXPECT_EQ(as_text(*read_file(path_)), text) << "what is refused is not overwritten";
  }
}

TEST_F(KernelCache, SurvivesNestingWithoutEnd) {
  write(std::string(1u << 20, '['));
  EXPECT_FALSE(read_kernel_cache(path_));
  std::string closed = R"({"schema_version": 1, "choices": [)" + std::string(1u << 20, '[') +
                       std::string(1u << 20, ']') + "]}";
  write(closed);
  EXPECT_FALSE(read_kernel_cache(path_));
}

TEST_F(KernelCache, IsReadOnlyWhenAskedFor) {
  EXPECT_TRUE(kernel_choice({}));
  EXPECT_TRUE(kernel_choice({.file = path_, .off = true}));
  const auto missing = kernel_choice({.file = path_});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace inkling::tools
