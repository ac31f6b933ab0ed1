#pragma once
// A session fed from and read into tensors that own their bytes: for tools and tests. An app writes
// into the session's own views (runtime/session.h).

#include <string>
#include <vector>

#include "runtime/session.h"

namespace inkling {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

// Writes the inputs, runs, and copies the outputs in the graph's order. Inputs that the graph does
// not have are passed over. kInvalidArgument: an input is missing, or of another type or shape.
Result<std::vector<NamedTensor>> run_named(Session& session, std::span<const NamedTensor> inputs);

}  // namespace inkling
