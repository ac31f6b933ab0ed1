#pragma once
// The conditional logit of discrete choice (McFadden, "Conditional Logit Analysis of Qualitative
// Choice Behavior", 1974): an alternative's utility is linear in its features, and the probability
// of a choice is the softmax of the utilities of its slate.
//
// The same model three times: its exact optimum by Newton's method, its formula in the graph's
// vocabulary, and a Model that a Reranker serves.

#include <functional>

#include "rerank/encoded_slate.h"
#include "rerank/scorer.h"

namespace inkling {

struct ConditionalLogitOptions {
  double ridge = 1e-3;            // lambda below; > 0 makes the optimum unique
  std::vector<double> towards{};  // where the ridge pulls; empty: zero
  // M below, f64[width, width], symmetric and positive definite; empty: the identity.
  std::vector<double> metric{};
  int iterations_max = 50;
  double gradient_norm_max = 1e-8;  // converged below this, per slate
  double nll_error = 0;             // by how much a source's nll may be wrong
};

struct ConditionalLogitFit {
  std::vector<double> weights;
  double nll = 0;                 // mean over slates, without the ridge
  double gradient_norm = 0;       // of the objective, per slate
  std::vector<double> hessian{};  // of the objective, f64[width, width]
  int iterations = 0;
};

// The minimum of  sum_slates mean_chosen -log P + lambda (w - t)^T M (w - t),  by Newton-Raphson
// with step halving; the objective is convex. The order of the slates decides only the last bits.
// kInvalidArgument: no slate, slates that check_slates() refuses, a ridge that is not positive, or
// `towards` or `metric` of another size. kFailedPrecondition: not converged (features that are not
// finite).
Result<ConditionalLogitFit> fit_conditional_logit(std::span<const EncodedSlate> slates,
                                                  std::size_t width,
                                                  const ConditionalLogitOptions& options = {});

// What a step of that method needs of some slates: sums over them, so that those of two parts of
// the slates add up to those of the whole, and sums over people can be taken without seeing one's
// own.
struct LogitSums {
  double slates = 0, nll = 0;
  std::vector<double> gradient{};  // f64[width], of nll
  std::vector<double> hessian{};   // f64[width, width]
};
// kInvalidArgument: slates that check_slates() refuses, or weights of another size.
Result<LogitSums> logit_sums(std::span<const EncodedSlate> slates, std::span<const double> weights);

// The same minimum where the slates are somewhere else. The source is asked once a trial step.
using LogitSource = std::function<Result<LogitSums>(std::span<const double> weights)>;
Result<ConditionalLogitFit> fit_conditional_logit(const LogitSource& source, std::size_t width,
                                                  const ConditionalLogitOptions& options = {});

// Utilities f32[slates, alternatives] of features f32[slates, alternatives, width] under weights
// f32[width, 1].
ValueId append_conditional_logit(Graph& g, ValueId features, ValueId weights);

// A scorer (rerank/scorer.h) with one variable "weights" f32[width, 1]. kInvalidArgument: weights
// of another size than the schema's width.
Result<Model> conditional_logit_model(const FeatureSchema& schema, std::span<const float> weights);

// The same for columns that are first divided by `deviation`, so that one pull suits all weights
// ("head" f32[width, 1]); the representation is what is left of the row. kInvalidArgument also: a
// deviation that is not above 0, or as many as the weights.
Result<Model> scaled_logit_model(const FeatureSchema& schema, std::span<const float> deviation,
                                 std::span<const float> weights);

}  // namespace inkling
