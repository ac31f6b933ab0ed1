#include "autograd/differentiate.h"

#include "runtime/op.h"
#include "runtime/ops.h"

namespace inkling {

namespace {

std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

Tensor ones_like(const TensorSpec& spec) {
  Tensor ones = Tensor::zeros(spec);
  if (spec.dtype == DType::kF64) {
    for (double& v : ones.mutable_data<double>()) v = 1;
  } else {
    for (float& v : ones.mutable_data<float>()) v = 1;
  }
  return ones;
}

// Which values depend on a wanted one.
std::vector<bool> find_active(const Graph& graph, std::span<const ValueId> wrt) {
  std::vector<bool> active(graph.values().size(), false);
  for (const ValueId id : wrt) active[at(id)] = true;
  for (const Node& node : graph.nodes()) {
    bool any = false;
    for (const ValueId id : node.inputs) any = any || active[at(id)];
    for (const ValueId id : node.outputs) active[at(id)] = active[at(id)] || any;
  }
  return active;
}

}  // namespace

Result<std::vector<ValueId>> differentiate(Graph& graph, ValueId loss,
                                           std::span<const ValueId> wrt) {
  INK_CHECK_OK(graph.status());
  const TensorSpec loss_spec = graph.spec(loss);
  if (!is_float(loss_spec.dtype) || loss_spec.shape.elements() != 1) {
    return fail(ErrorCode::kInvalidArgument, "differentiate: the loss is ", loss_spec,
                ", expected one float");
  }
  const std::vector<bool> active = find_active(graph, wrt);
  std::vector<ValueId> cotangents(graph.values().size(),
                                  kNoValue);  // of values of the tape, summed so far
  cotangents[at(loss)] = graph.constant(ones_like(loss_spec));

  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    const Node node = graph.nodes()[i];
    std::vector<ValueId> given;
    std::vector<bool> wanted;
    bool reached = false, any_wanted = false;
    for (const ValueId id : node.outputs) {
      given.push_back(cotangents[at(id)]);
      reached = reached || given.back() != kNoValue;
    }
    for (const ValueId id : node.inputs) {
      wanted.push_back(active[at(id)]);
      any_wanted = any_wanted || wanted.back();
    }
    if (!reached || !any_wanted) continue;
    const OpDef& def = op_def(node.op);
    if (!def.derivative)
      return fail(ErrorCode::kUnsupported, "differentiate: ", def.name, " has no derivative");
    for (std::size_t o = 0; o < given.size(); ++o) {
      if (given[o] == kNoValue)
        given[o] = graph.constant(Tensor::zeros(graph.spec(node.outputs[o])));
    }
    Adjoint adjoint(graph, node, std::move(given), std::move(wanted));
    def.derivative(adjoint);
    INK_CHECK_OK(graph.status());
    for (std::size_t j = 0; j < node.inputs.size(); ++j) {
      const ValueId gradient = adjoint.gradient(j);
      if (gradient == kNoValue || !adjoint.wanted(j)) continue;
      ValueId& total = cotangents[at(node.inputs[j])];
      total = total == kNoValue ? gradient : add(graph, total, gradient);
    }
  }

  std::vector<ValueId> gradients;
  for (const ValueId id : wrt) {
    const ValueId gradient = cotangents[at(id)];
    gradients.push_back(gradient != kNoValue ? gradient
                                             : graph.constant(Tensor::zeros(graph.spec(id))));
  }
  INK_CHECK_OK(graph.status());
  return gradients;
}

}  // namespace inkling
