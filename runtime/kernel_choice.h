#pragma once
// KernelChoice: which row runs which node where that was decided beforehand, by measuring
// (runtime/kernel_search.h) or by hand. A session that is given one takes its rows and the cost
// model's for all other nodes, so the same choice gives the same bits on every run.
//
// A value; reading from any number of threads is safe.

#include <map>
#include <string>

#include "runtime/kernel.h"

namespace inkling {

// A node as measurements are filed: op, element types and shapes, attributes, whether the weights
// are constant, and threads. Equal keys run equally fast on one CPU.
std::string node_key(const NodeSpec& node);

// Whom measurements hold for: the CPU's name, and the instruction set that the kernels use on it.
std::string cpu_name();

class KernelChoice {
 public:
  void set(std::string key, std::string row) { rows_[std::move(key)] = std::move(row); }
  // The row chosen for the node. Null: none, or one that is not in the table or does not accept the
  // node any more, as in a choice made by another version.
  const Kernel* find(std::span<const Kernel> table, const NodeSpec& node) const;

  const std::map<std::string, std::string>& rows() const { return rows_; }  // by key

 private:
  std::map<std::string, std::string> rows_;
};

// The rows that accept the node, cheapest first as choose_kernel() sees it.
std::vector<const Kernel*> ranked_kernels(std::span<const Kernel> table, const NodeSpec& node);

}  // namespace inkling
