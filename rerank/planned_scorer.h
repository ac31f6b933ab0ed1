#pragma once
// PlannedScorer: a scorer model made ready to score slates, with a person's patch or without.
//
// The first slate of a size plans a Session, which later slates of that size reuse; after that,
// scoring allocates nothing. One thread at a time.

#include <vector>

#include "rerank/patch.h"
#include "rerank/scorer.h"
#include "runtime/session.h"

namespace inkling {

inline constexpr std::size_t kPlannedSizesMax = 16;  // slate sizes; the least recent goes first

class PlannedScorer {
 public:
  // kVerification: a model for another feature schema. kInvalidArgument: not a scorer.
  static Result<PlannedScorer> create(Model model, const FeatureSchema& schema,
                                      const PlanOptions& options = {});

  const Sha256Digest& identity() const { return identity_; }
  std::span<const float> global() const { return global_; }  // parameters without a patch
  bool patched() const { return patched_; }
  std::size_t past_rows() const { return past_rows_; }  // 0: the model reads no past

  // kVerification: a patch for another model. kInvalidArgument: of another size.
  Result<void> set_patch(const Patch& patch);
  void clear_patch();

  // A slate of `rows` candidates. Fill `features` f32[rows, width] and, if the model reads it, the
  // past (rerank/scorer.h, fill_past); then run() and read `scores` f32[rows]. Views hold until the
  // next call of slate(). Errors of planning: kInvalidArgument, kResourceLimit.
  struct Planned {
    std::size_t rows = 0;
    Session session;
    TensorView features{}, past{}, present{}, scores{};
    TensorView representation{};  // f32[rows, head]; no data when the model has none
    std::vector<TensorView> variables{};
    void run() { session.run(); }
  };
  Result<Planned*> slate(std::size_t rows);

 private:
  PlannedScorer(Model model, const PlanOptions& options)
      : model_(std::move(model)), options_(options) {}
  void write_parameters(const Planned& planned) const;
  void use_parameters(std::vector<float> values, bool patched);

  Model model_;
  PlanOptions options_;
  Sha256Digest identity_{};
  std::size_t past_rows_ = 0;
  std::vector<float> global_, current_;
  bool patched_ = false;
  std::vector<Planned> planned_;  // most recently used first
};

}  // namespace inkling
