#pragma once
// Passes: Graph -> Graph, each keeping what the graph computes. optimize() is what a Session runs.
//
// Inputs, variables, outputs and updates keep their names and order; everything else may change.
// Each pass can be run by itself and is tested by itself.

#include <span>

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

// Multiplies constant scales of channels, as of a batch norm with fixed statistics, into the
// constant weights and bias of the linear op (matmul, conv2d, depthwise_conv2d) before them.
Result<Graph> fold_scales(const Graph& graph);

// Multiplies the parts of a concatenation one by one with their rows of constant weights, where
// some of them repeat smaller values.
Result<Graph> distribute(const Graph& graph);

// Lets elementwise ops repeat their operands themselves, and takes biases and clamps into the
// linear op before them. A fused graph cannot be differentiated.
Result<Graph> fuse(const Graph& graph);

// Joins a depthwise convolution to the 1x1 convolution that expands its channels, where the
// expanded image is large, so that it need not be there as a whole.
Result<Graph> fuse_expansions(const Graph& graph);

// The passes above in the order in which a graph goes through them; some more than once.
struct Pass {
  const char* name;
  Result<Graph> (*run)(const Graph&);
};
std::span<const Pass> passes();

Result<Graph> optimize(const Graph& graph);  // through all of them

// Through those before fuse: what can still be differentiated. Scales of channels stay nodes of
// their own if asked for.
Result<Graph> simplify(const Graph& graph, bool keep_scales = false);

// The same computation on `batch` examples at once, where `graph` computes it on one: the first
// axis of its inputs, now 1, becomes `batch`, and so does that of all that depends on them.
// kInvalidArgument: an input without such an axis. kUnsupported: an op that would mix examples, or
// of which that is not known.
Result<Graph> with_batch(const Graph& graph, std::int64_t batch);

}  // namespace inkling
