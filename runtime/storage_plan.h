#pragma once
// Which values of a graph share storage, and how long each storage lives: the planner's input.
//
// A reshape is a view of its input. An elementwise node may write over an input that dies there.
// The update of a variable is written in place when the node that computes it is elementwise, or
// changes some rows of it, and nobody reads the old value later.

#include <cstddef>
#include <vector>

#include "runtime/graph.h"

namespace inkling {

struct StoragePlan {
  // For each value, the value whose storage it uses (itself when it has its own).
  std::vector<ValueId> root;
  // For each value that is the root of an arena tensor: first and last step. Others have last <
  // first.
  std::vector<std::size_t> first, last;
  // A reshape that only renames storage and needs no step.
  std::vector<bool> view;  // by node
  // Updates that must be copied after the last step.
  std::vector<Update> copies;
};

StoragePlan plan_storage(const Graph& graph);

}  // namespace inkling
