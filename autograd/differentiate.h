#pragma once
// Reverse-mode automatic differentiation as a graph transformation (Griewank & Walther, "Evaluating
// Derivatives", 2008, chapter 3): the tape is walked backwards and the derivative of each node is
// appended to the same graph.
//
// Only nodes on a path from a wanted value to the loss are differentiated: freezing is leaving out.
// The gradients are ordinary values, so differentiating again gives higher derivatives.

#include <span>
#include <vector>

#include "runtime/graph.h"

namespace inkling {

// d loss / d wrt, one value each, with the shapes of wrt. loss has one element. A value that the
// loss does not depend on gets a constant zero gradient. kInvalidArgument: loss is not a single
// float. kUnsupported: an op on the path has no derivative (it is named).
Result<std::vector<ValueId>> differentiate(Graph& graph, ValueId loss,
                                           std::span<const ValueId> wrt);

}  // namespace inkling
