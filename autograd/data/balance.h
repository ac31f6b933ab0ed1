#pragma once
// Classes of unequal size, made to count alike: by weights, or by how often their rows are drawn.

#include <cstdint>
#include <span>
#include <vector>

namespace inkling {

// A weight a class with which all classes weigh the same and all rows together as many as there
// are: rows / (classes that have rows * rows of the class). Zero for a class without rows.
std::vector<double> class_weights(std::span<const std::uint32_t> labels, std::size_t classes);

// The rows of an epoch, as many as there are labels, in a random order and each class as often as
// the others, but for one: rows of a small class come again, in a new order each time, and some of
// a large class not at all. Fixed by seed and epoch.
std::vector<std::size_t> balanced_rows(std::span<const std::uint32_t> labels, std::uint64_t seed,
                                       std::uint64_t epoch);

}  // namespace inkling
