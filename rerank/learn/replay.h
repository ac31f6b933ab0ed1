#pragma once
// Replay: a person's slates in time order, each encoded with the history of those before it, as a
// device would have done at the time.

#include "rerank/encoded_slate.h"
#include "rerank/history.h"

namespace inkling {

// A slate with what a sequence model reads beside its rows.
struct Example {
  UserId user = 0;
  EncodedSlate slate{};       // rows of HistoryLayout::schema(); `chosen` may be empty
  std::vector<float> past{};  // f32[rows, base width]: the latest choices, oldest first
};

// Encodes each slate and then lets `history` observe it. kInvalidArgument: features that do not fit
// the schema, or a choice that is not in its slate.
Result<std::vector<Example>> replay(History& history, std::span<const Slate> slates,
                                    std::size_t past_rows_max = kRecentRowsMax);

}  // namespace inkling
