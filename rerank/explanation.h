#pragma once
// Why an item stands where it does: what each of its features adds to its score, for any scorer.
//
// A feature's effect is what the score loses when the item's value of it becomes the mean over the
// slate (occlusion; for a linear model exactly weight x (value - mean)). Effects of a model that is
// not linear need not add up to the score.

#include <string>

#include "rerank/planned_scorer.h"

namespace inkling {

struct Reason {
  std::string feature;  // its name in the schema
  double effect = 0;
};

// The strongest first, at most count_max, none of no effect. `planned` holds the slate's features,
// and holds them still afterwards; runs the model once a feature. kInvalidArgument: no such row.
Result<std::vector<Reason>> explain(PlannedScorer::Planned& planned, const FeatureSchema& schema,
                                    std::size_t row, std::size_t count_max);

}  // namespace inkling
