#include "rerank/learn/replay.h"

#include <algorithm>

namespace inkling {

Result<std::vector<Example>> replay(History& history, std::span<const Slate> slates,
                                    std::size_t past_rows_max) {
  const HistoryLayout layout = history.layout();
  const std::size_t base = layout.base().width(), width = layout.schema().width();
  std::vector<Example> examples;
  for (const Slate& slate : slates) {
    Example example{.user = slate.user,
                    .slate = {.request = slate.request,
                              .alternatives = slate.candidates.size(),
                              .chosen = slate.chosen}};
    INK_TRY(example.slate.features, history.encode(slate.candidates));
    const auto recent = history.recent_rows();
    const auto kept = recent.last(std::min(recent.size(), past_rows_max * base));
    example.past.assign(kept.begin(), kept.end());
    std::vector<float> own;
    std::vector<ItemId> items;
    for (std::size_t i = 0; i < slate.candidates.size(); ++i) {
      const auto row = example.slate.features.begin() + static_cast<std::ptrdiff_t>(i * width);
      own.insert(own.end(), row, row + static_cast<std::ptrdiff_t>(base));
      items.push_back(slate.candidates[i].item);
    }
    INK_CHECK_OK(history.observe(items, own, slate.chosen));
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace inkling
