#pragma once
// Losses, as functions in the vocabulary. Each gives one number, the mean over rows.

#include "runtime/graph.h"

namespace inkling {

// -mean_i sum_j targets[i, j] log softmax(logits)[i, j].   logits, targets [rows, classes]; target
// rows sum to one. The conditional logit of discrete choice (McFadden, 1974) is this loss with one
// logit an alternative.
ValueId softmax_cross_entropy(Graph& g, ValueId logits, ValueId targets);

// sum_i (x_i - towards_i)^2: the pull of weights to given ones (ridge when `towards` is zero).
ValueId squared_distance(Graph& g, ValueId x, ValueId towards);

}  // namespace inkling
