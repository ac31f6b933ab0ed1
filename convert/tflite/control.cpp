// TensorFlow Lite control flow. A plan has no branches: when the condition is not a constant, both
// branches are computed and the condition chooses between what they give.

#include "convert/tflite/importer.h"

namespace inkling::tflite_import {

namespace {

Result<void> if_op(OpReader& n) {
  INK_TRY(const ValueId condition, n.input(0));
  Graph& g = n.graph();
  if (g.spec(condition).dtype != DType::kBool || n.shape(condition).elements() != 1)
    return n.corrupt("a condition ", g.spec(condition));
  std::vector<ValueId> inputs;
  for (std::size_t i = 1; i < n.input_count(); ++i) {
    INK_TRY(inputs.emplace_back(), n.input(i));
  }
  INK_TRY(const auto* o, n.options<tflite::IfOptions>());
  std::vector<std::int32_t> branches = {o->then_subgraph(), o->else_subgraph()};
  if (const auto& known = g.value(condition).tensor)
    branches = {branches[known->data<bool>()[0] ? 0 : 1]};
  std::vector<std::vector<ValueId>> results;
  for (const std::int32_t branch : branches) {
    INK_TRY(results.emplace_back(), n.importer().call(branch, inputs));
    if (results.back().size() != n.output_count())
      return n.corrupt("a branch with ", results.back().size(), " outputs, expected ",
                       n.output_count());
  }
  for (std::size_t i = 0; i < n.output_count(); ++i) {
    ValueId result = results[0][i];
    if (results.size() == 2) {
      const ValueId other = results[1][i];
      if (g.spec(result) != g.spec(other))
        return n.unsupported("branches that give ", g.spec(result), " or ", g.spec(other));
      result = where(g, reshape(g, condition, Shape{}), result, other);
    }
    INK_CHECK_OK(n.yield(i, result));
  }
  return {};
}

constexpr HandlerRow kRows[] = {{118, "IF", if_op}};

}  // namespace

std::span<const HandlerRow> control_handlers() { return kRows; }

}  // namespace inkling::tflite_import
