#include "autograd/trained_values.h"

#include <algorithm>

namespace inkling {

TrainedValues values_by_name(std::span<const ParameterSlice> slices, std::span<const float> flat) {
  TrainedValues values;
  for (const ParameterSlice& slice : slices) {
    const auto count = static_cast<std::size_t>(slice.shape.elements());
    values[slice.name] = Tensor::from<float>(slice.shape, flat.subspan(slice.offset, count));
  }
  return values;
}

void copy_values(const TrainedValues& values, std::span<const ParameterSlice> slices,
                 std::span<float> flat) {
  for (const ParameterSlice& slice : slices) {
    const auto found = values.find(slice.name);
    if (found == values.end()) continue;
    const auto from = found->second.data<float>();
    std::copy(from.begin(), from.end(), flat.begin() + static_cast<std::ptrdiff_t>(slice.offset));
  }
}

}  // namespace inkling
