#pragma once
// Features of a frozen base, computed once: when only a head is trained, nothing before it changes,
// so each picture needs to pass through the base once and not once an epoch.

#include <functional>

#include "runtime/session.h"

namespace inkling {

// Fills one input row (a picture, in the base's layout and scaling), or says why it cannot.
using FillRow = std::function<Result<void>(std::size_t row, std::span<float> to)>;

// Runs `base` over `rows` inputs, as many at a time as its batch holds, and returns the output as
// f32[rows, features], where features is everything behind the batch axis. `input` and `output`
// name f32 values of equal batch size. kNotFound: a name. kInvalidArgument: batch sizes that
// differ. The first error of `fill`.
Result<Tensor> compute_features(Session& base, std::string_view input, std::string_view output,
                                std::size_t rows, const FillRow& fill);

}  // namespace inkling
