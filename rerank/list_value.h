#pragma once
// What a list is worth to a person who reads it from the top, for rerank/beam_search.h:
//
//   value = sum over places k of  patience^k * p(item_k) * (1 - fatigue * tired_k)
//
// p is the probability that the scorer gives the item (softmax of the scores); patience the
// probability of looking on to the next place (rank-biased precision; Moffat and Zobel, TOIS 2008);
// tired_k in [0, 1] how much of what stands above is like the item:
//
//   tired_k = min(1, sum over places j < k of  recovery^(k - j - 1) * likeness(item_k, item_j))
//
// so the item right above tells most. Likeness is 1 between items of one group, plus the
// cosine of their vectors where there are any (those over all places above sum to at least 0).
// With fatigue 0 the best list is the order by score.

#include "rerank/beam_search.h"
#include "rerank/diversity.h"

namespace inkling {

struct ListValueOptions {
  double fatigue = 0.5;   // [0, 1]
  double recovery = 0.7;  // [0, 1): how tired one still is a place later
  double patience = 0.9;  // (0, 1]
};

class ListValue final : public ListEvaluator {
 public:
  // `groups` one a score, 0: of no group; or empty. `vectors` one a score, or of width 0.
  // kInvalidArgument: sizes that do not fit, numbers that are not finite, options out of range.
  static Result<ListValue> create(std::span<const float> scores,
                                  std::span<const std::uint64_t> groups, const ItemVectors& vectors,
                                  const ListValueOptions& options);

  void gains(std::span<const std::uint32_t> prefix, std::span<double> gains) override;

 private:
  explicit ListValue(const ListValueOptions& options) : options_(options) {}

  ListValueOptions options_;
  std::vector<double> probabilities_;
  std::vector<std::uint32_t> group_;  // from 1; 0: of no group
  std::vector<double> units_;         // f64[items, width_], of length 1 or 0
  std::size_t width_ = 0;
  std::vector<double> by_group_, direction_;  // what the prefix leaves behind
};

}  // namespace inkling
