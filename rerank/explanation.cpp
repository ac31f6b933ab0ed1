#include "rerank/explanation.h"

#include <algorithm>
#include <cmath>

namespace inkling {

Result<std::vector<Reason>> explain(PlannedScorer::Planned& planned, const FeatureSchema& schema,
                                    std::size_t row, std::size_t count_max) {
  if (row >= planned.rows)
    return fail(ErrorCode::kInvalidArgument, "explain: row ", row, " of ", planned.rows);
  const std::size_t width = schema.width();
  const auto all = planned.features.span<float>();
  const auto own = all.subspan(row * width, width);
  const std::vector<float> kept(own.begin(), own.end());
  planned.run();
  const auto score = [&] { return static_cast<double>(planned.scores.span<float>()[row]); };
  const double whole = score();
  std::vector<Reason> reasons;
  std::size_t begin = 0;
  for (const FeatureSpec& spec : schema.features()) {
    const std::size_t end = begin + feature_width(spec);
    for (std::size_t column = begin; column < end; ++column) {
      double total = 0;
      for (std::size_t i = 0; i < planned.rows; ++i)
        total += static_cast<double>(i == row ? kept[column] : all[i * width + column]);
      own[column] = static_cast<float>(total / static_cast<double>(planned.rows));
    }
    planned.run();
    reasons.push_back({spec.name, whole - score()});
    std::copy(kept.begin(), kept.end(), own.begin());
    begin = end;
  }
  std::erase_if(reasons, [](const Reason& r) { return !(std::abs(r.effect) > 0); });
  std::stable_sort(reasons.begin(), reasons.end(), [](const Reason& a, const Reason& b) {
    return std::abs(a.effect) > std::abs(b.effect);
  });
  if (reasons.size() > count_max) reasons.resize(count_max);
  return reasons;
}

}  // namespace inkling
