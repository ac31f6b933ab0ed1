#pragma once
// Micro-batches: a graph that works through its batch in pieces, one after the other in one plan,
// so that the activations of one piece at a time are alive.

#include <span>
#include <string>
#include <vector>

#include "runtime/graph.h"

namespace inkling {

// An output that is wanted as a value: the pieces' sum, or theirs end to end along the first axis.
struct TakenOutput {
  std::string name;
  bool sum;
};

struct Pieces {
  Graph graph;
  std::vector<ValueId> values;  // of the taken outputs, which the graph does not name
};

// `piece`, made for a piece's rows, on `count` times as many: the first axis of its inputs grows,
// and piece by piece all nodes run on their part of them. Scalar inputs, constants and variables
// are shared. Of the outputs that are not taken scalars become means, and others stand end to end.
// kInvalidArgument: no piece, an output that is not there, or several pieces of a graph that
// updates its variables itself.
Result<Pieces> in_pieces(const Graph& piece, std::size_t count, std::span<const TakenOutput> taken);

}  // namespace inkling
