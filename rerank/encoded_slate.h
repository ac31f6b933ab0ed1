#pragma once
// EncodedSlate: a slate as a model learns from it: rows of features, and which were chosen.
// Plain values.

#include <span>
#include <vector>

#include "rerank/feature_schema.h"

namespace inkling {

struct EncodedSlate {
  RequestId request = 0;
  std::size_t alternatives = 0;
  std::vector<float> features{};      // f32[alternatives, width]
  std::vector<std::size_t> chosen{};  // distinct, < alternatives; their targets are equal
};

// Whether a slate teaches an order: something was chosen, and something was not.
bool tells_an_order(const EncodedSlate& slate);

// kInvalidArgument: a slate without a choice, a choice that is not in it, or what
// FeatureSchema::encode refuses.
Result<EncodedSlate> encode_slate(const Slate& slate, const FeatureSchema& schema);

// kInvalidArgument names the first slate that is empty, whose features are not f32[alternatives,
// width], or whose choices are none, repeated or not in it.
Result<void> check_slates(std::span<const EncodedSlate> slates, std::size_t width);

}  // namespace inkling
