#pragma once
// RowGradient: the gradient of a table of which rows were gathered, as those rows alone. A table of
// words or items has many rows, a batch reads few; the rest of the gradient is zero and need not
// exist.

#include <optional>

#include "runtime/graph.h"

namespace inkling {

struct RowGradient {
  ValueId rows;    // i64[k]; a row may come more than once
  ValueId values;  // f32[k, ...], to be added up by row
};

// Where `gradient` (of autograd/differentiate.h) is a sum of rows gathered along the first axis and
// of nothing else; appends what lays them end to end.
std::optional<RowGradient> row_gradient(Graph& g, ValueId gradient);

}  // namespace inkling
