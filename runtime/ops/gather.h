#pragma once
// How gather and scatters see their operands; the op file and the kernels read it from a node.

#include "runtime/ops/support.h"

namespace inkling::ops {

// x as [outer, rows, inner], cut at the axis; `picked` rows are named.
struct GatherSize {
  std::int64_t outer = 1, rows = 0, inner = 1, picked = 0;
};

inline GatherSize gather_size(const Shape& x, const Shape& indices, const Attrs& attrs) {
  const auto axis = static_cast<std::size_t>(attrs.integer(Attr::kAxis));
  GatherSize size;
  for (std::size_t i = 0; i < axis; ++i) size.outer *= x[i];
  for (std::size_t i = axis + 1; i < x.rank(); ++i) size.inner *= x[i];
  size.rows = x[axis];
  size.picked = indices.elements();
  return size;
}

// The row that index i names, counted from the front; -1 when it lies outside.
inline std::int64_t row_of(const TensorView& indices, std::int64_t i, std::int64_t rows) {
  const std::int64_t index = indices.spec.dtype == DType::kI64
                                 ? indices.as<const std::int64_t>()[i]
                                 : indices.as<const std::int32_t>()[i];
  const std::int64_t row = index < 0 ? index + rows : index;
  return row >= 0 && row < rows ? row : -1;
}

}  // namespace inkling::ops
