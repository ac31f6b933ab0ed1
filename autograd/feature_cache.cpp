#include "autograd/feature_cache.h"

#include <algorithm>

namespace inkling {

Result<Tensor> compute_features(Session& base, std::string_view input, std::string_view output,
                                std::size_t rows, const FillRow& fill) {
  INK_TRY(const TensorView in, base.input(input));
  INK_TRY(const TensorView out, base.output(output));
  const bool batched = in.shape().rank() > 0 && out.shape().rank() > 0 &&
                       in.shape()[0] == out.shape()[0] && in.shape()[0] > 0;
  if (!batched || in.spec.dtype != DType::kF32 || out.spec.dtype != DType::kF32) {
    return fail(ErrorCode::kInvalidArgument, "compute_features: ", input, " ", in.spec, " to ",
                output, " ", out.spec, ": expected f32 with one batch size");
  }
  const auto batch = static_cast<std::size_t>(in.shape()[0]);
  const std::size_t in_row = static_cast<std::size_t>(in.elements()) / batch;
  const std::size_t out_row = static_cast<std::size_t>(out.elements()) / batch;
  Tensor features = Tensor::zeros(
      {DType::kF32, Shape{static_cast<std::int64_t>(rows), static_cast<std::int64_t>(out_row)}});
  for (std::size_t first = 0; first < rows; first += batch) {
    const std::size_t count = std::min(batch, rows - first);
    for (std::size_t i = 0; i < count; ++i) {
      INK_CHECK_OK(fill(first + i, in.span<float>().subspan(i * in_row, in_row)));
    }
    base.run();
    std::copy_n(
        out.as<float>(), count * out_row,
        features.mutable_data<float>().begin() + static_cast<std::ptrdiff_t>(first * out_row));
  }
  return features;
}

}  // namespace inkling
