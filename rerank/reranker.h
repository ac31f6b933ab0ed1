#pragma once
// Reranker: puts candidates into the order that suits this person.
//
// It holds one feature schema, at most one model (rerank/scorer.h) and at most one patch. It never
// does worse than the server by being late or empty: without a model, and after a missed deadline,
// the answer is the server's order, and says so. Equal scores keep the server's order.
//
// Everything that can be planned is: the first slate of a size plans a Session, which later slates
// of that size reuse. One thread at a time; the clock must outlive it.

#include <limits>
#include <optional>

#include "rerank/explanation.h"
#include "rerank/history.h"
#include "rerank/planned_scorer.h"
#include "rerank/policy.h"
#include "runtime/base/clock.h"

namespace inkling {

inline constexpr std::size_t kCandidatesMax = 4096;

struct Context {
  std::int64_t deadline_ms = std::numeric_limits<std::int64_t>::max();  // by Clock::steady_ms()
  // Whose layout().schema() the reranker was made with; null for a schema without a history.
  const History* history = nullptr;
};

enum class RankedBy : std::uint8_t {
  kServerNoModel,   // cold start
  kServerDeadline,  // the deadline passed before the scores were there
  kGlobalModel,
  kPersonalModel,  // the global model with this person's patch
  kServerHoldOut   // the policy's experiment holds this person out
};

struct Ranking {
  RankedBy by = RankedBy::kServerNoModel;
  std::vector<std::uint32_t> order{};  // indices of the candidates, best first
  // By candidate, in the server's order; empty when the server's order is the answer.
  std::vector<float> scores{};
  std::vector<float> probabilities{};  // softmax of the scores; 0 for a score that is not finite
  // By place: of this item there given those above it, for the log; empty: all are 1.
  std::vector<double> propensities{};
};

class Reranker {
 public:
  Reranker(FeatureSchema schema, const Clock& clock, const PlanOptions& plan = {})
      : schema_(std::move(schema)), clock_(&clock), plan_(plan) {}

  // Replaces the model and drops the patch, which belonged to the old one. On an error nothing
  // changes. kVerification: a model for another feature schema. kInvalidArgument: not a scorer.
  Result<void> set_model(Model model);
  // kVerification: a patch for another model. kFailedPrecondition: no model.
  Result<void> set_patch(const Patch& patch);
  Result<void> clear_patch();
  // Errors of check_policy(), and then the old policy stays. The server's order is never touched.
  Result<void> set_policy(Policy policy);

  // kInvalidArgument: features that do not fit the schema. kVerification: a history of another
  // schema. kResourceLimit: over kCandidatesMax.
  Result<Ranking> rerank(std::span<const Candidate> candidates, const Context& context = {});

  // What puts candidates[index] where the model has it (rerank/explanation.h). Errors as rerank(),
  // and kFailedPrecondition: no model.
  Result<std::vector<Reason>> why(std::span<const Candidate> candidates, const Context& context,
                                  std::size_t index, std::size_t count_max);

 private:
  // False: the deadline passed meanwhile.
  Result<bool> encode(std::span<const Candidate> candidates, const Context& context,
                      const PlannedScorer::Planned& planned) const;
  bool late(const Context& context) const { return clock_->steady_ms() >= context.deadline_ms; }

  FeatureSchema schema_;
  const Clock* clock_;
  PlanOptions plan_;
  std::optional<PlannedScorer> scorer_;
  Policy policy_;
  bool held_out_ = false;
  Rng rng_{0, "exploration"};
};

}  // namespace inkling
