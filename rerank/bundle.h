#pragma once
// What a device gets to rank with: the layout of rows and the scorer over them, as one string of
// bytes that a publisher signs. docs/bundle-format.md describes them.

#include "rerank/history.h"
#include "rerank/scorer.h"

namespace inkling {

struct Bundle {
  std::uint64_t version = 0;  // only goes up
  HistoryLayout layout;
  Model model;
};

// kVerification: the model is not for layout.schema(). Errors of encode_model().
Result<Bytes> encode_bundle(const Bundle& bundle);

// kCorrupt: not a bundle, or cut. Errors of decode_model(); kVerification as above.
Result<Bundle> decode_bundle(std::shared_ptr<const Bytes> bytes);

}  // namespace inkling
