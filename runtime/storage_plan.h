#pragma once
// Which values of a graph share storage, and how long each storage lives: the planner's input.
//
// A reshape is a view of its input. A part of a concatenation of channels is written into its place
// by the convolution that makes it. An elementwise node may write over an input that dies there.
// The update of a variable is written in place when the node that computes it is elementwise, or
// changes some rows of it, and nobody reads the old value later.

#include <cstddef>
#include <vector>

#include "runtime/graph.h"

namespace inkling {

struct StoragePlan {
  // For each value, the value whose storage it uses (itself when it has its own).
  std::vector<ValueId> root;
  // For each value: where it begins in the storage of its root, in elements, and how far the runs
  // of its last axis lie apart where that is more than their length (else 0).
  std::vector<std::int64_t> offset, pitch;
  // For each value that is the root of an arena tensor: first and last step. Others have last <
  // first.
  std::vector<std::size_t> first, last;
  // A reshape or a concat that only renames storage and needs no step.
  std::vector<bool> view;  // by node
  // Updates that must be copied after the last step.
  std::vector<Update> copies;
};

// Without `parts`, concatenations are copied: the references write whole tensors only.
StoragePlan plan_storage(const Graph& graph, bool parts);

}  // namespace inkling
