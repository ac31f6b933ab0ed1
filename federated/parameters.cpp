#include "federated/parameters.h"

namespace inkling::federated {

namespace {

bool is_parameter(const Value& value) {
  return value.kind == ValueKind::kVariable && value.spec.dtype == DType::kF32;
}

}  // namespace

std::vector<float> get_parameters(const Model& model) {
  std::vector<float> parameters;
  for (const ValueId id : model.graph.variables()) {
    const Value& value = model.graph.value(id);
    if (!is_parameter(value)) continue;
    const auto data = value.tensor->data<float>();
    parameters.insert(parameters.end(), data.begin(), data.end());
  }
  return parameters;
}

Result<Model> with_parameters(const Model& model, std::span<const float> parameters) {
  Model changed = model;
  std::size_t offset = 0;
  for (const ValueId id : model.graph.variables()) {
    const Value& value = model.graph.value(id);
    if (!is_parameter(value)) continue;
    const auto count = static_cast<std::size_t>(value.spec.shape.elements());
    if (count > parameters.size() - offset) break;
    changed.graph.set_variable(
        id, Tensor::from<float>(value.spec.shape, parameters.subspan(offset, count)));
    offset += count;
  }
  if (offset != parameters.size() || get_parameters(model).size() != parameters.size()) {
    return fail(ErrorCode::kInvalidArgument, "parameters: ", parameters.size(),
                " given, the model has ", get_parameters(model).size());
  }
  return changed;
}

}  // namespace inkling::federated
