#pragma once
// How good predicted probabilities are.

#include <span>
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace inkling::tools {

struct Evaluation {
  std::size_t count = 0;
  double accuracy = 0;  // share of rows whose largest probability is that of their label
  double nll = 0;       // mean of -log of the label's probability
  std::vector<std::vector<std::size_t>> confusion = {};  // [label][predicted], counts
  std::vector<std::size_t> most_wrong = {};   // rows, the least probable label first; up to 24
  std::vector<std::uint32_t> predicted = {};  // by row
};

inline constexpr std::size_t kMostWrongMax = 24;

// probabilities f32[rows, classes]; rows >= 1
Evaluation evaluate(const Tensor& probabilities, std::span<const std::uint32_t> labels);

}  // namespace inkling::tools
