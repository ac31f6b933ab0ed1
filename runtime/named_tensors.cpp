#include "runtime/named_tensors.h"

#include <algorithm>
#include <cstring>

namespace inkling {

Result<std::vector<NamedTensor>> run_named(Session& session, std::span<const NamedTensor> inputs) {
  for (const ValueId id : session.graph().inputs()) {
    const Value& wanted = session.graph().value(id);
    const auto given = std::find_if(inputs.begin(), inputs.end(),
                                    [&](const NamedTensor& t) { return t.name == wanted.name; });
    if (given == inputs.end())
      return fail(ErrorCode::kInvalidArgument, "no value for input '", wanted.name, "'");
    if (given->tensor.spec() != wanted.spec)
      return fail(ErrorCode::kInvalidArgument, "input '", wanted.name, "' is ", wanted.spec,
                  ", given ", given->tensor.spec());
    INK_TRY(const TensorView view, session.input(wanted.name));
    if (wanted.spec.bytes() > 0) std::memcpy(view.data, given->tensor.raw(), wanted.spec.bytes());
  }
  session.run();
  std::vector<NamedTensor> results;
  for (const NamedValue& output : session.graph().outputs()) {
    INK_TRY(const TensorView view, session.output(output.name));
    Tensor copy = Tensor::zeros(view.spec);
    if (view.spec.bytes() > 0) std::memcpy(copy.view().data, view.data, view.spec.bytes());
    results.push_back({output.name, std::move(copy)});
  }
  return results;
}

}  // namespace inkling
