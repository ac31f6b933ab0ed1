#include "rerank/encoded_slate.h"

#include <algorithm>

namespace inkling {

namespace {

bool names_some(const EncodedSlate& slate) {
  std::vector<std::size_t> sorted = slate.chosen;
  std::sort(sorted.begin(), sorted.end());
  return !sorted.empty() && sorted.back() < slate.alternatives &&
         std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
}

}  // namespace

bool tells_an_order(const EncodedSlate& slate) {
  return !slate.chosen.empty() && slate.chosen.size() < slate.alternatives;
}

Result<EncodedSlate> encode_slate(const Slate& slate, const FeatureSchema& schema) {
  EncodedSlate encoded{
      .request = slate.request, .alternatives = slate.candidates.size(), .chosen = slate.chosen};
  INK_TRY(encoded.features, schema.encode(slate.candidates));
  INK_CHECK_OK(check_slates(std::span(&encoded, 1), schema.width()));
  return encoded;
}

Result<void> check_slates(std::span<const EncodedSlate> slates, std::size_t width) {
  for (const EncodedSlate& slate : slates) {
    if (slate.features.size() != slate.alternatives * width || !names_some(slate)) {
      return fail(ErrorCode::kInvalidArgument, "slate ", slate.request, ": ", slate.features.size(),
                  " numbers for ", slate.alternatives, " alternatives of which ",
                  slate.chosen.size(), " are chosen, expected ", width,
                  " each and distinct choices among them");
    }
  }
  return {};
}

}  // namespace inkling
