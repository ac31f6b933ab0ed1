#include "rerank/encoded_slate.h"

namespace inkling {

Result<EncodedSlate> encode_slate(const Slate& slate, const FeatureSchema& schema) {
  if (!slate.chosen || *slate.chosen >= slate.candidates.size()) {
    return fail(ErrorCode::kInvalidArgument, "slate ", slate.request, ": ", slate.candidates.size(),
                " candidates and no choice among them, expected one");
  }
  EncodedSlate encoded{
      .request = slate.request, .alternatives = slate.candidates.size(), .chosen = *slate.chosen};
  INK_TRY(encoded.features, schema.encode(slate.candidates));
  return encoded;
}

Result<void> check_slates(std::span<const EncodedSlate> slates, std::size_t width) {
  for (const EncodedSlate& slate : slates) {
    if (slate.features.size() != slate.alternatives * width || slate.chosen >= slate.alternatives) {
      return fail(ErrorCode::kInvalidArgument, "slate ", slate.request, ": ", slate.features.size(),
                  " numbers for ", slate.alternatives, " alternatives of which ", slate.chosen,
                  " is chosen, expected ", width, " each and a choice among them");
    }
  }
  return {};
}

}  // namespace inkling
