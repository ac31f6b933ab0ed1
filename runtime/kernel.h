#pragma once
// Kernel: a row of a backend's table. The row makes a function tested against its op's reference,
// benchmarked, and chosen when a plan is made. All functions are pure in their arguments and run on
// any thread.

#include <cstddef>
#include <span>

#include "runtime/op.h"

namespace inkling {

// A node as a row sees it before it runs.
struct NodeSpec {
  OpKind op;
  std::span<const TensorSpec> in;
  std::span<const TensorSpec> out;
  const Attrs& attrs;
  bool constant_weights;  // input 1 never changes, so that pack() may run once
  unsigned threads;
  std::int64_t out_pitch = 0;  // as in KernelArgs; a row that cannot write so does not accept
};

// What a NodeSpec of a graph's node is made of; it borrows from all of its arguments.
std::vector<TensorSpec> specs_of(const Graph& graph, std::span<const ValueId> ids);
NodeSpec node_spec(const Graph& graph, const Node& node, std::span<const TensorSpec> in,
                   std::span<const TensorSpec> out, unsigned threads);

struct Kernel {
  OpKind op;
  const char* name;  // unique, "conv2d_gemm"
  bool (*accepts)(const NodeSpec&);
  double (*cost)(const NodeSpec&);  // estimated seconds; the cheapest row that accepts is taken
  void (*run)(const KernelArgs&);
  std::size_t (*scratch_bytes)(const NodeSpec&) = nullptr;  // null: none
  // With constant weights: how many bytes pack() makes of input 1, and makes them. Null: none.
  std::size_t (*packed_bytes)(const NodeSpec&) = nullptr;
  void (*pack)(const NodeSpec&, const TensorView& weights, std::byte* packed) = nullptr;
};

// The rows of the CPU backend (runtime/backends/cpu/).
std::span<const Kernel> cpu_kernels();

// The cheapest row that accepts the node; null when only the reference can run it.
const Kernel* choose_kernel(std::span<const Kernel> rows, const NodeSpec& node);

}  // namespace inkling
