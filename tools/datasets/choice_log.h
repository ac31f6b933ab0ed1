#pragma once
// A reader for an app's own logs of shown slates, as CSV (RFC 4180, with a header line) or JSON
// lines (one flat object a line). The columns are described in docs/rerank-data.md. Files come from
// anywhere and are treated as hostile.

#include "runtime/base/file.h"
#include "tools/datasets/choice_data.h"

namespace inkling {

inline constexpr std::uint64_t kChoiceLogBytesMax = std::uint64_t{256} << 20;
inline constexpr std::size_t kChoiceLogCategoriesMax = 256;  // of a feature; others are "other"
inline constexpr double kChoiceLogTrainShare = 0.7;          // of each person's requests

// By the file's ending: .jsonl or .ndjson, else CSV. kInvalidArgument and kCorrupt name the line;
// kResourceLimit: over kChoiceLogBytesMax.
Result<ChoiceData> load_choice_log(const Path& file);

}  // namespace inkling
