#include "runtime/kernel_choice.h"

#include <algorithm>
#include <sstream>

namespace inkling {

namespace {

struct Printer {
  std::ostream& out;
  void operator()(std::int64_t value) const { out << value; }
  void operator()(double value) const { out << value; }
  void operator()(const std::vector<std::int64_t>& values) const {
    for (std::size_t i = 0; i < values.size(); ++i) out << (i == 0 ? "" : ",") << values[i];
  }
};

}  // namespace

std::string node_key(const NodeSpec& node) {
  std::ostringstream key;
  key << op_name(node.op);
  for (const TensorSpec& spec : node.in) key << " " << spec;
  key << " ->";
  for (const TensorSpec& spec : node.out) key << " " << spec;
  for (const auto& [attr, value] : node.attrs.entries()) {
    key << " " << attr_name(attr) << "=";
    std::visit(Printer{key}, value);
  }
  if (node.constant_weights) key << " constant";
  key << " threads=" << node.threads;
  return key.str();
}

const Kernel* KernelChoice::find(std::span<const Kernel> table, const NodeSpec& node) const {
  if (rows_.empty()) return nullptr;
  const auto found = rows_.find(node_key(node));
  if (found == rows_.end()) return nullptr;
  for (const Kernel& row : table) {
    if (row.op == node.op && found->second == row.name) return row.accepts(node) ? &row : nullptr;
  }
  return nullptr;
}

std::vector<const Kernel*> ranked_kernels(std::span<const Kernel> table, const NodeSpec& node) {
  std::vector<std::pair<double, const Kernel*>> costs;
  for (const Kernel& row : table) {
    if (row.op == node.op && row.accepts(node)) costs.emplace_back(row.cost(node), &row);
  }
  std::stable_sort(costs.begin(), costs.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<const Kernel*> ranked;
  for (const auto& [cost, row] : costs) ranked.push_back(row);
  return ranked;
}

}  // namespace inkling
