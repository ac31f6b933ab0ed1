#pragma once
// recompute: less memory for more work (Chen et al., "Training Deep Nets with Sublinear Memory
// Cost", 2016).
//
// What the loss is computed from is cut into segments. Only what crosses from one segment to a
// later one is kept for the backward pass; the rest of a segment is computed again just before the
// gradients that read it. The last segment is never computed twice. The same kernels see the same
// numbers, so every result keeps its bits.

#include "runtime/graph.h"

namespace inkling {

// `graph` is an optimised training graph: what the loss depends on comes before what depends on the
// loss. segments >= 2; where a graph cannot be cut into so many, it is cut into fewer. No pass may
// run over the result, or the copies would be merged again.
Result<Graph> recompute(const Graph& graph, ValueId loss, std::size_t segments);

}  // namespace inkling
