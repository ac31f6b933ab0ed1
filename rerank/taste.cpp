#include "rerank/taste.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/LU>
#include <algorithm>
#include <cmath>

namespace inkling {

namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatRows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr int kStepsMax = 12;
constexpr double kStepTolerance = 1e-9;
constexpr double kProbabilityMin = 1e-9;  // keeps the weights of the alternatives invertible

Eigen::Index index(std::size_t i) { return static_cast<Eigen::Index>(i); }

Eigen::VectorXd softmax(const Eigen::VectorXd& utilities) {
  Eigen::VectorXd p = (utilities.array() - utilities.maxCoeff()).exp();
  return p / p.sum();
}

double nll(const Eigen::VectorXd& utilities, const Eigen::VectorXd& targets) {
  const double highest = utilities.maxCoeff();
  return highest + std::log((utilities.array() - highest).exp().sum()) - targets.dot(utilities);
}

// The slate in the space of its utilities u, where the prior is N(mean, spread) and both have the
// size of the slate, not of the features.
struct Projected {
  Eigen::VectorXd mean, targets;
  Matrix spread;
};

// The mode of the utilities is mean + spread a, with a = targets - softmax(u) at the optimum:
// damped Newton on a's fixed point. Returns a.
Eigen::VectorXd find_mode(const Projected& p) {
  const Eigen::Index n = p.mean.size();
  Eigen::VectorXd a = Eigen::VectorXd::Zero(n);
  const auto objective = [&](const Eigen::VectorXd& at) {
    return nll(p.mean + p.spread * at, p.targets) + 0.5 * at.dot(p.spread * at);
  };
  double value = objective(a);
  for (int step = 0; step < kStepsMax; ++step) {
    const Eigen::VectorXd probability = softmax(p.mean + p.spread * a);
    const Eigen::VectorXd residual = a - (p.targets - probability);
    const Matrix weights =
        Matrix(probability.asDiagonal()) - Matrix(probability * probability.transpose());
    const Matrix jacobian = Matrix::Identity(n, n) + weights * p.spread;
    const Eigen::VectorXd move = jacobian.partialPivLu().solve(residual);
    double length = 1, next = objective(a - move);
    while (length > 1e-4 && !(next <= value)) {
      length /= 2;
      next = objective(a - length * move);
    }
    if (!(next <= value)) break;
    a -= length * move;
    if (value - next < kStepTolerance) break;
    value = next;
  }
  return a;
}

}  // namespace

Result<void> check_taste_prior(const TastePrior& prior) {
  const std::size_t width = prior.mean.size();
  if (width > kTasteWidthMax)
    return fail(ErrorCode::kResourceLimit, "taste: ", width, " columns, limit ", kTasteWidthMax);
  const auto finite = [](double v) { return std::isfinite(v); };
  if (prior.covariance.size() != width * width ||
      !std::all_of(prior.mean.begin(), prior.mean.end(), finite) ||
      !std::all_of(prior.covariance.begin(), prior.covariance.end(), finite)) {
    return fail(ErrorCode::kInvalidArgument, "taste: a mean of ", width, " and a covariance of ",
                prior.covariance.size(), " numbers, expected a finite square matrix");
  }
  if (width == 0) return {};
  const Eigen::Map<const Matrix> covariance(prior.covariance.data(), index(width), index(width));
  const double size = covariance.cwiseAbs().maxCoeff();
  if (!((covariance - covariance.transpose()).cwiseAbs().maxCoeff() <= 1e-9 * size) ||
      covariance.llt().info() != Eigen::Success) {
    return fail(ErrorCode::kInvalidArgument,
                "taste: the covariance is not symmetric and positive definite");
  }
  return {};
}

Taste::Taste(TastePrior checked) : state_(std::move(checked)) {}

void Taste::observe(std::span<const float> rows, std::span<const std::size_t> chosen) {
  const std::size_t width = state_.mean.size();
  const std::size_t count = std::min(rows.size() / width, kTasteAlternativesMax);
  Projected p;
  p.targets = Eigen::VectorXd::Zero(index(count));
  for (const std::size_t i : chosen)
    if (i < count) p.targets[index(i)] = 1;
  const double relevant = p.targets.sum();
  if (relevant == 0 || relevant == static_cast<double>(count)) return;
  p.targets /= relevant;

  const Matrix x =
      Eigen::Map<const FloatRows>(rows.data(), index(count), index(width)).cast<double>();
  Eigen::Map<Eigen::VectorXd> mean(state_.mean.data(), index(width));
  Eigen::Map<Matrix> covariance(state_.covariance.data(), index(width), index(width));
  const Matrix across = x * covariance;  // [count, width]
  p.mean = x * mean;
  p.spread = across * x.transpose();
  const Eigen::VectorXd a = find_mode(p);
  mean += across.transpose() * a;

  // Laplace: precision += X^T (diag(p) - p p^T) X, by Woodbury's identity with W = L L^T.
  const Eigen::VectorXd probability = softmax(p.mean + p.spread * a);
  Matrix weights = Matrix(probability.asDiagonal()) - Matrix(probability * probability.transpose());
  weights.diagonal().array() += kProbabilityMin;
  const Matrix factor = weights.llt().matrixL();
  const Matrix scaled = factor.transpose() * across;  // [count, width]
  const Matrix inner =
      Matrix::Identity(index(count), index(count)) + factor.transpose() * p.spread * factor;
  covariance -= scaled.transpose() * inner.llt().solve(scaled);
  covariance = 0.5 * (covariance + covariance.transpose()).eval();
}

double Taste::utility(std::span<const float> row) const {
  double total = 0;
  for (std::size_t i = 0; i < row.size(); ++i)
    total += static_cast<double>(row[i]) * state_.mean[i];
  return total;
}

double Taste::uncertainty(std::span<const float> row) const {
  const std::size_t width = row.size();
  double total = 0;
  for (std::size_t i = 0; i < width; ++i)
    for (std::size_t j = 0; j < width; ++j)
      total += static_cast<double>(row[i]) * state_.covariance[i * width + j] *
               static_cast<double>(row[j]);
  return std::sqrt(std::max(total, 0.0));
}

}  // namespace inkling
