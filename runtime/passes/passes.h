#pragma once
// Passes: Graph -> Graph, each keeping what the graph computes. optimize() is what a Session runs.
//
// Inputs, variables, outputs and updates keep their names and order; everything else may change.
// Each pass can be run by itself and is tested by itself.

#include "runtime/graph.h"

namespace inkling {

// Drops nodes that neither an output nor an update needs.
Result<Graph> eliminate(const Graph& graph);

// Computes nodes whose inputs are all constants, where the result is not larger than what it
// replaces.
Result<Graph> fold_constants(const Graph& graph);

// Merges nodes that do the same to the same values (common subexpressions).
Result<Graph> share(const Graph& graph);

// Moves transposes towards the outputs, through the ops that can work in another axis order, so
// that they meet and cancel: a model imported as [n, c, h, w] runs channels-last from end to end.
Result<Graph> sink_transposes(const Graph& graph);

// Lets elementwise ops repeat their operands themselves, and takes scales, biases and clamps into
// the linear op (matmul, conv2d, depthwise_conv2d) before them. A fused graph cannot be
// differentiated.
Result<Graph> fuse(const Graph& graph);

Result<Graph> optimize(const Graph& graph);

}  // namespace inkling
