#include "autograd/data/split.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "runtime/base/rng.h"

namespace inkling {

namespace {

using Rows = std::vector<std::size_t>;

// Rows that go together, by the class of the first.
std::map<std::uint32_t, std::vector<Rows>> units_by_class(std::span<const std::uint32_t> labels,
                                                          std::span<const std::string> groups) {
  std::map<std::uint32_t, std::vector<Rows>> units;
  std::map<std::string_view, std::pair<std::uint32_t, std::size_t>> places;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    if (groups.empty()) {
      units[labels[row]].push_back({row});
      continue;
    }
    const auto [found, added] =
        places.try_emplace(groups[row], labels[row], units[labels[row]].size());
    const auto [label, place] = found->second;
    if (added) {
      units[label].push_back({row});
    } else {
      units[label][place].push_back(row);
    }
  }
  return units;
}

}  // namespace

Split split_rows(std::span<const std::uint32_t> labels, std::span<const std::string> groups,
                 double share, std::uint64_t seed) {
  Split split;
  for (auto& [label, units] : units_by_class(labels, groups)) {
    Rng(seed, "split", label).shuffle(units);
    const auto wanted =
        static_cast<std::size_t>(std::llround(share * static_cast<double>(units.size())));
    const std::size_t held =
        share > 0 && units.size() > 1 ? std::clamp<std::size_t>(wanted, 1, units.size() - 1) : 0;
    for (std::size_t i = 0; i < units.size(); ++i) {
      Rows& to = i < held ? split.validation : split.train;
      to.insert(to.end(), units[i].begin(), units[i].end());
    }
  }
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.validation.begin(), split.validation.end());
  return split;
}

std::vector<std::size_t> few_of_each(std::span<const std::uint32_t> labels, std::size_t per_class,
                                     std::uint64_t seed) {
  std::map<std::uint32_t, Rows> by_class;
  for (std::size_t row = 0; row < labels.size(); ++row) by_class[labels[row]].push_back(row);
  Rows chosen;
  for (auto& [label, rows] : by_class) {
    Rng(seed, "pictures", label).shuffle(rows);
    rows.resize(std::min(rows.size(), per_class));
    chosen.insert(chosen.end(), rows.begin(), rows.end());
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace inkling
