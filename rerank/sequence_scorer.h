#pragma once
// Scorers that read what the person chose before, beside each candidate's row.
//
//   din      target attention (Zhou et al., "Deep Interest Network", KDD 2018): each candidate asks
//            which past choices are like it.
//   edgerec  EdgeRec (Gong et al., CIKM 2020): a GRU along the past choices, a GRU along the
//            candidates in the server's order (list context), and additive attention of a candidate
//            to the behaviour states.
//
// Both end in one linear layer ("head") over the normalised row itself and what the network made of
// it, so the network learns what a linear model misses ("wide and deep"; Cheng et al., DLRS 2016).

#include "rerank/scorer.h"

namespace inkling {

enum class SequenceKind { kDin, kEdgeRec };

struct SequenceScorerSpec {
  SequenceKind kind = SequenceKind::kDin;
  std::size_t base_width = 0;      // the first columns of a row, and those of a past row
  std::vector<float> mean{};       // of each column; the width of a row
  std::vector<float> deviation{};  // of each column, > 0
  std::vector<float> linear{};     // first weights of the head for the normalised row
  std::size_t past_rows = 50;
  std::size_t encoding = 16;  // of an item, and the GRUs' state
  std::size_t hidden = 32;
  std::uint64_t seed = 1;
};

// A scorer for rows of `schema`, every weight a variable. kInvalidArgument: sizes that do not fit,
// are zero, or equal kExampleRows.
Result<Model> sequence_scorer(const FeatureSchema& schema, const SequenceScorerSpec& spec);

// The same model with constants for all variables but the head: what a device gets.
// kInvalidArgument: no variable "head".
Result<Model> freeze_trunk(const Model& model);

}  // namespace inkling
