#pragma once
// What `inkling rerank evaluate` shows of a study: one JSON object, a short table, or a report.

#include "tools/rerank/study.h"

namespace inkling::tools {

struct StudyLabels {
  std::string data, model, split;
  std::uint64_t seed = 1;
};

std::string study_json(const StudyResult& result, const StudyLabels& labels);
std::string study_text(const StudyResult& result, const StudyLabels& labels);
Result<void> write_study_report(const StudyResult& result, const StudyLabels& labels,
                                const Path& file);

}  // namespace inkling::tools
