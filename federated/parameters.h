#pragma once
// A model's trainable parameters as one vector: what a round averages. They are the f32 variables
// of the model's graph, in the order in which the graph names them.

#include <span>
#include <vector>

#include "runtime/model.h"

namespace inkling::federated {

std::vector<float> get_parameters(const Model& model);

// The same model with other parameters. kInvalidArgument: another count.
Result<Model> with_parameters(const Model& model, std::span<const float> parameters);

}  // namespace inkling::federated
