#include "rerank/learn/taste_prior.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "rerank/conditional_logit.h"

namespace inkling {

namespace {

Eigen::Index index(std::size_t i) { return static_cast<Eigen::Index>(i); }

bool teaches(const EncodedSlate& slate) {
  return !slate.chosen.empty() && slate.chosen.size() < slate.alternatives;
}

// The variance of each column over all rows; 1 for a column that never changes.
Eigen::VectorXd column_variances(std::span<const std::vector<EncodedSlate>> people,
                                 std::size_t width) {
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(index(width)), squares = sum;
  double rows = 0;
  for (const auto& slates : people)
    for (const EncodedSlate& slate : slates) {
      const Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>
          x(slate.features.data(), index(slate.alternatives), index(width));
      sum += x.cast<double>().colwise().sum().transpose();
      squares += x.cast<double>().array().square().matrix().colwise().sum().transpose();
      rows += static_cast<double>(slate.alternatives);
    }
  const Eigen::VectorXd mean = sum / rows;
  Eigen::VectorXd variance = squares / rows - mean.cwiseProduct(mean);
  for (double& v : variance)
    if (!(v > 1e-9)) v = 1;
  return variance;
}

struct Moments {
  Eigen::VectorXd sum;
  Eigen::MatrixXd second;
};

// Each person's posterior under the prior N(mean, covariance), as sums over people.
Result<Moments> posterior_moments(std::span<const std::vector<EncodedSlate>> people,
                                  const Eigen::VectorXd& mean, const Eigen::MatrixXd& covariance) {
  const Eigen::Index n = mean.size();
  const Eigen::MatrixXd precision = covariance.llt().solve(Eigen::MatrixXd::Identity(n, n));
  const ConditionalLogitOptions options{
      .ridge = 0.5,
      .towards = {mean.data(), mean.data() + n},
      .metric = {precision.data(), precision.data() + precision.size()},
      .gradient_norm_max = 1e-6};
  Moments m{Eigen::VectorXd::Zero(n), Eigen::MatrixXd::Zero(n, n)};
  for (const auto& slates : people) {
    INK_TRY(const ConditionalLogitFit fit,
            fit_conditional_logit(slates, static_cast<std::size_t>(n), options));
    const Eigen::Map<const Eigen::VectorXd> mode(fit.weights.data(), n);
    const Eigen::Map<const Eigen::MatrixXd> hessian(fit.hessian.data(), n, n);
    m.sum += mode;
    m.second += mode * mode.transpose() + hessian.llt().solve(Eigen::MatrixXd::Identity(n, n));
  }
  return m;
}

}  // namespace

Result<TastePrior> fit_taste_prior(std::span<const std::vector<EncodedSlate>> people,
                                   std::size_t width, const TastePriorOptions& options) {
  std::vector<std::vector<EncodedSlate>> teaching;
  std::vector<EncodedSlate> all;
  for (const auto& slates : people) {
    std::vector<EncodedSlate> own;
    std::copy_if(slates.begin(), slates.end(), std::back_inserter(own), teaches);
    all.insert(all.end(), own.begin(), own.end());
    if (!own.empty()) teaching.push_back(std::move(own));
  }
  if (all.empty()) return fail(ErrorCode::kInvalidArgument, "taste prior: no slate with a choice");
  INK_CHECK_OK(check_slates(all, width));
  const Eigen::VectorXd scale = column_variances(teaching, width).cwiseInverse();
  const auto count = static_cast<double>(teaching.size());

  INK_TRY(const ConditionalLogitFit pooled, fit_conditional_logit(all, width, {.ridge = 1.0}));
  Eigen::VectorXd mean = Eigen::Map<const Eigen::VectorXd>(pooled.weights.data(), index(width));
  Eigen::MatrixXd covariance = options.start * Eigen::MatrixXd(scale.asDiagonal());
  for (int round = 0; round < options.rounds; ++round) {
    INK_TRY(const Moments m, posterior_moments(teaching, mean, covariance));
    mean = m.sum / count;
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

}  // namespace inkling
