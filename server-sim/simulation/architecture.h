#pragma once
// Architecture: the networks that federated learning papers compare on, by name.
//
//   logistic            x W + b                                     (of the flattened features)
//   mlp                 dense layers with ReLU of the sizes in `hidden`
//   lenet               LeCun et al., 1998, as usually run today: 5x5 convolutions of 6 and 16
//                       channels, each with ReLU and 2x2 max pooling, then dense 120, 84
//   cnn                 McMahan et al., 2017: 5x5 convolutions of 32 and 64 channels, dense 512
//   conditional_logit   features [alternatives, width] times one weight vector; no bias
//   offset_logit        the same, but the last feature of an alternative is added as it is: 0, or
//                       far below for a place of a slate that nothing is in
//
// Initial weights are a pure function of the seed.

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/graph.h"

namespace inkling {

struct Architecture {
  std::string name = "logistic";
  std::vector<std::int64_t> hidden = {};  // mlp

  // Logits f32[batch, labels] of x: f32[batch, features...]; creates the variables.
  // kInvalidArgument latches in the graph: an unknown name, or features of the wrong shape.
  ValueId append(Graph& g, ValueId x, std::int64_t labels, std::uint64_t seed) const;
};

}  // namespace inkling
