#pragma once
// Taste: one person's weights of a conditional logit, as a normal posterior that is carried from
// request to request (assumed density filtering with Laplace's approximation; Opper, "A Bayesian
// Approach to On-line Learning", 1998).
//
// The prior is the spread of tastes over the population (mixed logit; Rossi, Allenby and McCulloch,
// "Bayesian Statistics and Marketing", 2005, chapter 5), so that a first choice already says
// something about features that this person has never chosen between. It is estimated where many
// people's slates are: rerank/learn/taste_prior.h.
//
// A request costs O(alternatives width^2). One thread at a time.

#include <span>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

inline constexpr std::size_t kTasteWidthMax = 256;
inline constexpr std::size_t kTasteAlternativesMax = 256;  // of a larger slate the first count

struct TastePrior {
  std::vector<double> mean{};        // f64[width]
  std::vector<double> covariance{};  // f64[width, width], symmetric and positive definite
  bool empty() const { return mean.empty(); }
};

// kInvalidArgument: sizes that do not fit, numbers that are not finite, or a covariance that is not
// symmetric or positive definite. kResourceLimit: wider than kTasteWidthMax.
Result<void> check_taste_prior(const TastePrior& prior);

class Taste {
 public:
  explicit Taste(TastePrior checked);  // by check_taste_prior()

  // Rows f32[alternatives, width]; the chosen ones share the probability equally. Does nothing when
  // nothing, or everything, was chosen.
  void observe(std::span<const float> rows, std::span<const std::size_t> chosen);

  double utility(std::span<const float> row) const;  // row . mean
  // The standard deviation of that utility: what is not known yet.
  double uncertainty(std::span<const float> row) const;

  const TastePrior& posterior() const { return state_; }

 private:
  TastePrior state_;
};

}  // namespace inkling
