#include "rerank/row_translation.h"

#include <algorithm>
#include <unordered_map>

namespace inkling {

Result<RowTranslation> RowTranslation::create(const FeatureSchema& from, const FeatureSchema& to) {
  if (from.version() != to.version()) {
    return fail(ErrorCode::kVerification, "row translation: from feature schema version ",
                from.version(), " to ", to.version());
  }
  std::vector<float> absent(to.width());
  INK_CHECK_OK(to.encode(Candidate{}, absent));
  RowTranslation translation(from.width(), std::move(absent));
  struct Place {
    const FeatureSpec* spec;
    std::size_t column;
  };
  std::unordered_map<std::string_view, Place> old;
  std::size_t column = 0;
  for (const FeatureSpec& spec : from.features()) {
    old.emplace(spec.name, Place{&spec, column});
    column += feature_width(spec);
  }
  column = 0;
  for (const FeatureSpec& spec : to.features()) {
    const std::size_t width = feature_width(spec);
    if (const auto found = old.find(spec.name); found != old.end() && *found->second.spec == spec)
      translation.kept_.push_back({found->second.column, column, width});
    column += width;
  }
  return translation;
}

std::vector<float> RowTranslation::operator()(std::span<const float> row) const {
  std::vector<float> out = absent_;
  for (const Kept& k : kept_) std::copy_n(&row[k.from], k.width, &out[k.to]);
  return out;
}

}  // namespace inkling
