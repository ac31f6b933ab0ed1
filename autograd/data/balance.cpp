#include "autograd/data/balance.h"

#include <map>

#include "runtime/base/rng.h"

namespace inkling {

std::vector<double> class_weights(std::span<const std::uint32_t> labels, std::size_t classes) {
  std::vector<double> weights(classes);
  for (const std::uint32_t label : labels) ++weights[label];
  double filled = 0;
  for (const double count : weights) filled += count > 0;
  for (double& v : weights) v = v > 0 ? static_cast<double>(labels.size()) / (filled * v) : 0;
  return weights;
}

std::vector<std::size_t> balanced_rows(std::span<const std::uint32_t> labels, std::uint64_t seed,
                                       std::uint64_t epoch) {
  struct Class {
    std::vector<std::size_t> rows;
    std::size_t next;
  };
  std::map<std::uint32_t, Class> classes;
  for (std::size_t row = 0; row < labels.size(); ++row) classes[labels[row]].rows.push_back(row);
  for (auto& [label, of] : classes) of.next = of.rows.size();
  Rng rng(seed, "balance", epoch);
  std::vector<std::size_t> order;
  while (order.size() < labels.size()) {
    for (auto& [label, of] : classes) {
      if (of.next == of.rows.size()) {
        rng.shuffle(of.rows);
        of.next = 0;
      }
      order.push_back(of.rows[of.next++]);
    }
  }
  order.resize(labels.size());
  rng.shuffle(order);
  return order;
}

}  // namespace inkling
