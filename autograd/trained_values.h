#pragma once
// The trained variables of a trainer by their names, and back to the flat vector.

#include <span>

#include "autograd/fine_tune.h"
#include "autograd/trainer.h"

namespace inkling {

// `flat` as Trainer::get_parameters() gives it.
TrainedValues values_by_name(std::span<const ParameterSlice> slices, std::span<const float> flat);

// The inverse. What has no value keeps its numbers in `flat`.
void copy_values(const TrainedValues& values, std::span<const ParameterSlice> slices,
                 std::span<float> flat);

}  // namespace inkling
