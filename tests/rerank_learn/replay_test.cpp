#include "rerank/learn/replay.h"

#include "tests/rerank/synthetic.h"

namespace inkling {
namespace {

Slate slate(RequestId request, std::size_t chosen) {
  return {.user = 1,
          .request = request,
          .candidates = {synthetic::candidate(11, 1), synthetic::candidate(12, -1)},
          .chosen = {chosen}};
}

TEST(Replay, ARowSeesOnlyTheRequestsBeforeIt) {
  const auto layout = *HistoryLayout::create(synthetic::schema());
  const std::vector<Slate> past = {slate(1, 0), slate(2, 0), slate(3, 1)};
  History history(layout);
  const auto examples = replay(history, past);
  ASSERT_TRUE(examples);
  for (std::size_t n = 0; n < past.size(); ++n) {
    History before(layout);
    const auto earlier = replay(before, std::span(past).first(n));
    EXPECT_EQ((*examples)[n].slate.features, *before.encode(past[n].candidates));
    EXPECT_EQ((*examples)[n].past.size(), n * synthetic::kWidth);
  }
  EXPECT_EQ((*examples)[2].past, (std::vector<float>{1, 0, 0, 1, 0, 0}));
}

TEST(Replay, KeepsTheLatestRowsOnly) {
  History history(*HistoryLayout::create(synthetic::schema()));
  const std::vector<Slate> past = {slate(1, 0), slate(2, 1), slate(3, 1)};
  const auto examples = replay(history, past, 1);
  ASSERT_TRUE(examples);
  EXPECT_EQ((*examples)[2].past, (std::vector<float>{-1, 0, 0}));
}

}  // namespace
}  // namespace inkling
