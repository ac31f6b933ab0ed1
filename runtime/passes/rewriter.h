#pragma once
// Rewriter: builds a new graph from an old one, node by node, in order. What every pass is made of.

#include <unordered_map>
#include <vector>

#include "runtime/graph.h"

namespace inkling {

class Rewriter {
 public:
  // Carries over the inputs and variables; constants follow when they are first used.
  explicit Rewriter(const Graph& source);

  Graph& graph() { return target_; }
  const Graph& source() const { return source_; }

  ValueId now(ValueId old);  // where an old value is in the new graph
  void map(ValueId old, ValueId value) { now_[static_cast<std::size_t>(old)] = value; }
  std::vector<ValueId> now(std::span<const ValueId> old);
  void copy(const Node& node);  // the node as it was, on the new inputs
  void keep_label(ValueId old);

  Result<Graph> finish();  // carries over outputs and updates

 private:
  const Graph& source_;
  Graph target_;
  std::vector<ValueId> now_;
};

// A node may be folded into a constant that is no larger than its inputs, or than this.
inline constexpr std::size_t kFoldedBytesFree = 64;
// What is repeated up to this size (a number for each channel) stays a repetition where it meets a
// result, but counts as a constant where it meets constants.
inline constexpr std::size_t kRepeatedBytesMax = 16384;
using RepeatedConstants = std::unordered_map<ValueId, Tensor>;

// Computes the graph's last node where all its inputs are constants, and gives its results as
// constants; false and unchanged otherwise. The node itself stays until eliminate(). `repeated`
// remembers repetitions from call to call.
bool fold_last_node(Graph& graph, std::vector<ValueId>& results,
                    RepeatedConstants* repeated = nullptr);

// How many nodes, outputs and updates read each value.
std::vector<std::size_t> count_uses(const Graph& graph);

}  // namespace inkling
