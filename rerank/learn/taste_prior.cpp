#include "rerank/learn/taste_prior.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <cmath>
#include <numeric>

#include "rerank/conditional_logit.h"

namespace inkling {

namespace {

Eigen::Index index(std::size_t i) { return static_cast<Eigen::Index>(i); }

constexpr double kVarianceMin = 1e-9;
constexpr double kSpreadMax = 4;

// Sums over people of their posteriors' means, and of their second moments.
struct PosteriorSums {
  Eigen::VectorXd mean;
  Eigen::MatrixXd second;
};

using Teaching = std::vector<std::vector<EncodedSlate>>;

struct Posterior {
  Eigen::VectorXd mean;
  Eigen::MatrixXd covariance;
};

// By Laplace's approximation, under the normal prior of this mean and precision.
Result<Posterior> posterior_of(std::span<const EncodedSlate> slates, const Eigen::VectorXd& mean,
                               const Eigen::MatrixXd& precision) {
  const Eigen::Index n = mean.size();
  INK_TRY(const ConditionalLogitFit fit,
          fit_conditional_logit(slates, static_cast<std::size_t>(n),
                                {.ridge = 0.5,
                                 .towards = {mean.data(), mean.data() + n},
                                 .metric = {precision.data(), precision.data() + precision.size()},
                                 .gradient_norm_max = 1e-6}));
  const Eigen::Map<const Eigen::VectorXd> mode(fit.weights.data(), n);
  const Eigen::Map<const Eigen::MatrixXd> hessian(fit.hessian.data(), n, n);
  return Posterior{mode, hessian.llt().solve(Eigen::MatrixXd::Identity(n, n))};
}

// Under the prior N(mean, covariance).
Result<PosteriorSums> sum_posteriors(const Teaching& teaching, std::span<const std::size_t> people,
                                     const Eigen::VectorXd& mean, const Eigen::MatrixXd& covariance,
                                     const SumOverPeople& sum) {
  const Eigen::Index n = mean.size();
  const Eigen::MatrixXd precision = covariance.llt().solve(Eigen::MatrixXd::Identity(n, n));
  const auto term = [&](std::size_t person) -> Result<std::vector<double>> {
    INK_TRY(const Posterior posterior, posterior_of(teaching[person], mean, precision));
    const Eigen::MatrixXd second =
        posterior.mean * posterior.mean.transpose() + posterior.covariance;
    std::vector<double> own(posterior.mean.begin(), posterior.mean.end());
    for (Eigen::Index i = 0; i < n; ++i)
      for (Eigen::Index j = i; j < n; ++j) own.push_back(second(i, j));
    return own;
  };
  INK_TRY(const std::vector<double> total,
          sum(people, static_cast<std::size_t>(n + n * (n + 1) / 2), term));
  PosteriorSums sums{Eigen::Map<const Eigen::VectorXd>(total.data(), n), Eigen::MatrixXd(n, n)};
  auto at = total.begin() + n;
  for (Eigen::Index i = 0; i < n; ++i)
    for (Eigen::Index j = i; j < n; ++j) sums.second(i, j) = sums.second(j, i) = *at++;
  return sums;
}

Result<Teaching> teaching_of(std::span<const std::vector<EncodedSlate>> people, std::size_t width) {
  Teaching teaching;
  for (const auto& slates : people) {
    std::vector<EncodedSlate> own;
    std::copy_if(slates.begin(), slates.end(), std::back_inserter(own), tells_an_order);
    INK_CHECK_OK(check_slates(own, width));
    if (!own.empty()) teaching.push_back(std::move(own));
  }
  if (teaching.empty())
    return fail(ErrorCode::kInvalidArgument, "taste prior: no slate with a choice");
  return teaching;
}

std::vector<std::size_t> everyone_of(const Teaching& teaching) {
  std::vector<std::size_t> everyone(teaching.size());
  std::iota(everyone.begin(), everyone.end(), std::size_t{0});
  return everyone;
}

}  // namespace

Result<TastePrior> fit_taste_prior(std::span<const std::vector<EncodedSlate>> people,
                                   std::size_t width, const TastePriorOptions& options,
                                   const SumOverPeople& sum) {
  INK_TRY(const Teaching teaching, teaching_of(people, width));
  const std::vector<std::size_t> everyone = everyone_of(teaching);
  INK_TRY(const ColumnMoments columns, sum_column_moments(teaching, everyone, width, sum));
  Eigen::VectorXd scale(index(width));  // 1 for a column that never changes
  for (std::size_t c = 0; c < width; ++c)
    scale[index(c)] = columns.variance[c] > kVarianceMin ? 1 / columns.variance[c] : 1;
  INK_TRY(const ConditionalLogitFit pooled,
          fit_summed_logit(
              teaching, everyone, width,
              {.ridge = 1.0, .gradient_norm_max = 1e-6, .nll_error = options.sum_error}, sum));
  const auto count = static_cast<double>(teaching.size());
  Eigen::VectorXd mean = Eigen::Map<const Eigen::VectorXd>(pooled.weights.data(), index(width));
  Eigen::MatrixXd covariance = options.start * Eigen::MatrixXd(scale.asDiagonal());
  for (int round = 0; round < options.rounds; ++round) {
    INK_TRY(const PosteriorSums m, sum_posteriors(teaching, everyone, mean, covariance, sum));
    mean = m.mean / count;
    covariance = (m.second - count * mean * mean.transpose() +
                  options.strength * options.shrink * Eigen::MatrixXd(scale.asDiagonal())) /
                 (count + options.strength);
    covariance = 0.5 * (covariance + covariance.transpose()).eval();
  }
  TastePrior prior{.mean = {mean.data(), mean.data() + mean.size()},
                   .covariance = {covariance.data(), covariance.data() + covariance.size()}};
  INK_CHECK_OK(check_taste_prior(prior));
  return prior;
}

Result<TastePrior> fit_independent_taste_prior(std::span<const std::vector<EncodedSlate>> people,
                                               std::span<const double> variance,
                                               const TastePriorOptions& options,
                                               const SumOverPeople& sum) {
  const std::size_t width = variance.size();
  INK_TRY(const Teaching teaching, teaching_of(people, width));
  const std::vector<std::size_t> everyone = everyone_of(teaching);
  const auto count = static_cast<double>(everyone.size());
  Eigen::VectorXd unit(index(width));  // of a column
  for (std::size_t c = 0; c < width; ++c)
    unit[index(c)] = variance[c] > kVarianceMin ? std::sqrt(variance[c]) : 1;
  // In those units.
  Eigen::VectorXd mean = Eigen::VectorXd::Zero(index(width));
  Eigen::VectorXd spread = Eigen::VectorXd::Constant(index(width), options.start);
  for (int round = 0; round < options.rounds; ++round) {
    const auto term = [&](std::size_t person) -> Result<std::vector<double>> {
      INK_TRY(const Posterior own,
              posterior_of(teaching[person], mean.cwiseQuotient(unit),
                           Eigen::MatrixXd(unit.cwiseAbs2().cwiseQuotient(spread).asDiagonal())));
      const Eigen::VectorXd mode = own.mean.cwiseProduct(unit);
      const Eigen::VectorXd second =
          mode.cwiseAbs2() + own.covariance.diagonal().cwiseProduct(unit.cwiseAbs2());
      std::vector<double> numbers(mode.begin(), mode.end());
      numbers.insert(numbers.end(), second.begin(), second.end());
      return numbers;
    };
    INK_TRY(const std::vector<double> total, sum(everyone, 2 * width, term));
    const Eigen::Map<const Eigen::VectorXd> means(total.data(), index(width)),
        seconds(total.data() + width, index(width));
    mean = means / count;
    spread = (seconds / count - mean.cwiseAbs2()).cwiseMax(options.shrink).cwiseMin(kSpreadMax);
  }
  mean = mean.cwiseQuotient(unit);
  const Eigen::MatrixXd covariance = spread.cwiseQuotient(unit.cwiseAbs2()).asDiagonal();
  TastePrior prior{.mean = {mean.data(), mean.data() + mean.size()},
                   .covariance = {covariance.data(), covariance.data() + covariance.size()}};
  INK_CHECK_OK(check_taste_prior(prior));
  return prior;
}

}  // namespace inkling
