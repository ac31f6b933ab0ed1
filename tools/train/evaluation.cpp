#include "tools/train/evaluation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace inkling::tools {

Evaluation evaluate(const Tensor& probabilities, std::span<const std::uint32_t> labels) {
  constexpr float kLeast = 1e-12f;  // a probability of zero would cost without bound
  const auto classes = static_cast<std::size_t>(probabilities.shape()[1]);
  Evaluation result{.count = labels.size()};
  result.confusion.assign(classes, std::vector<std::size_t>(classes));
  std::vector<float> of_label;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const auto p = probabilities.data<float>().subspan(row * classes, classes);
    const auto best = static_cast<std::uint32_t>(std::max_element(p.begin(), p.end()) - p.begin());
    result.predicted.push_back(best);
    ++result.confusion[labels[row]][best];
    result.accuracy += best == labels[row];
    of_label.push_back(p[labels[row]]);
    result.nll -= std::log(static_cast<double>(std::max(of_label.back(), kLeast)));
    if (best != labels[row]) result.most_wrong.push_back(row);
  }
  const auto rows = static_cast<double>(labels.size());
  result.accuracy /= rows;
  result.nll /= rows;
  std::stable_sort(result.most_wrong.begin(), result.most_wrong.end(),
                   [&](std::size_t a, std::size_t b) { return of_label[a] < of_label[b]; });
  result.most_wrong.resize(std::min(result.most_wrong.size(), kMostWrongMax));
  return result;
}

}  // namespace inkling::tools
