#include "rerank/conditional_logit.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "runtime/ops.h"

namespace inkling {

namespace {

using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Problem {
  std::vector<Rows> features{};
  std::vector<Eigen::VectorXd> targets{};
  Eigen::VectorXd towards;
  double ridge;
  Eigen::MatrixXd metric;
};

struct Derivatives {
  Eigen::VectorXd gradient;
  Eigen::MatrixXd hessian;
};

Problem problem_of(std::span<const EncodedSlate> slates, std::size_t width,
                   const ConditionalLogitOptions& options) {
  const auto columns = static_cast<Eigen::Index>(width);
  Problem p{.towards = Eigen::VectorXd::Zero(columns),
            .ridge = options.ridge,
            .metric = Eigen::MatrixXd::Identity(columns, columns)};
  if (!options.metric.empty())
    p.metric = Eigen::Map<const Rows>(options.metric.data(), columns, columns);
  if (!options.towards.empty())
    p.towards = Eigen::Map<const Eigen::VectorXd>(options.towards.data(), columns);
  for (const EncodedSlate& slate : slates) {
    const Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>
        rows(slate.features.data(), static_cast<Eigen::Index>(slate.alternatives), columns);
    p.features.push_back(rows.cast<double>());
    Eigen::VectorXd target = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(slate.alternatives));
    for (const std::size_t i : slate.chosen)
      target[static_cast<Eigen::Index>(i)] = 1 / static_cast<double>(slate.chosen.size());
    p.targets.push_back(std::move(target));
  }
  return p;
}

double nll_sum(const Problem& p, const Eigen::VectorXd& w) {
  double total = 0;
  for (std::size_t i = 0; i < p.features.size(); ++i) {
    const Eigen::VectorXd utilities = p.features[i] * w;
    const double highest = utilities.maxCoeff();
    total +=
        highest + std::log((utilities.array() - highest).exp().sum()) - p.targets[i].dot(utilities);
  }
  return total;
}

double objective(const Problem& p, const Eigen::VectorXd& w) {
  return nll_sum(p, w) + p.ridge * (w - p.towards).dot(p.metric * (w - p.towards));
}

// With probabilities P of a slate X: the gradient is X^T (P - targets), the Hessian X^T (diag(P) -
// P P^T) X.
Derivatives derivatives(const Problem& p, const Eigen::VectorXd& w) {
  Derivatives d{2 * p.ridge * (p.metric * (w - p.towards)), 2 * p.ridge * p.metric};
  for (std::size_t i = 0; i < p.features.size(); ++i) {
    const Rows& x = p.features[i];
    Eigen::VectorXd probability = x * w;
    probability = (probability.array() - probability.maxCoeff()).exp();
    probability /= probability.sum();
    const Eigen::VectorXd expected = x.transpose() * probability;
    d.gradient += expected - x.transpose() * p.targets[i];
    d.hessian += x.transpose() * probability.asDiagonal() * x - expected * expected.transpose();
  }
  return d;
}

Result<void> check(std::span<const EncodedSlate> slates, std::size_t width,
                   const ConditionalLogitOptions& options) {
  if (slates.empty() || !(options.ridge > 0) ||
      (!options.towards.empty() && options.towards.size() != width) ||
      (!options.metric.empty() && options.metric.size() != width * width)) {
    return fail(ErrorCode::kInvalidArgument, "conditional logit: ", slates.size(),
                " slates, ridge ", options.ridge, " towards ", options.towards.size(),
                " weights with a metric of ", options.metric.size(),
                " numbers: expected some slates, a positive ridge, and 0 or ", width, " weights");
  }
  return check_slates(slates, width);
}

}  // namespace

Result<ConditionalLogitFit> fit_conditional_logit(std::span<const EncodedSlate> slates,
                                                  std::size_t width,
                                                  const ConditionalLogitOptions& options) {
  INK_CHECK_OK(check(slates, width, options));
  const Problem p = problem_of(slates, width, options);
  const auto count = static_cast<double>(slates.size());
  ConditionalLogitFit fit;
  Eigen::VectorXd w = p.towards;
  for (;; ++fit.iterations) {
    const Derivatives d = derivatives(p, w);
    fit.gradient_norm = d.gradient.norm() / count;
    if (fit.gradient_norm <= options.gradient_norm_max) {
      fit.hessian.assign(d.hessian.data(), d.hessian.data() + d.hessian.size());
      break;
    }
    if (fit.iterations == options.iterations_max || !std::isfinite(fit.gradient_norm)) {
      return fail(ErrorCode::kFailedPrecondition, "conditional logit: gradient norm ",
                  fit.gradient_norm, " after ", fit.iterations, " steps, expected at most ",
                  options.gradient_norm_max);
    }
    const Eigen::VectorXd step = d.hessian.ldlt().solve(d.gradient);
    const double before = objective(p, w);
    double length = 1;
    while (length > 1e-6 && !(objective(p, w - length * step) <= before)) length /= 2;
    w -= length * step;
  }
  fit.weights.assign(w.data(), w.data() + w.size());
  fit.nll = nll_sum(p, w) / count;
  return fit;
}

ValueId append_conditional_logit(Graph& g, ValueId features, ValueId weights) {
  if (!g.status()) return kNoValue;
  const Shape shape = g.shape(features);
  if (shape.rank() != 3) {
    g.latch({ErrorCode::kInvalidArgument, concat("conditional_logit: features ", shape,
                                                 ", expected [slates, alternatives, width]")});
    return kNoValue;
  }
  const ValueId rows = reshape(g, features, {shape[0] * shape[1], shape[2]});
  return reshape(g, matmul(g, rows, weights), {shape[0], shape[1]});
}

Result<Model> conditional_logit_model(const FeatureSchema& schema, std::span<const float> weights) {
  const std::size_t width = schema.width();
  if (weights.size() != width) {
    return fail(ErrorCode::kInvalidArgument, "conditional logit: ", weights.size(),
                " weights, expected ", width);
  }
  const auto columns = static_cast<std::int64_t>(width);
  Model model;
  const ValueId features = model.graph.input(kFeaturesInput, {DType::kF32, {1, columns}});
  const ValueId w = model.graph.variable("weights", Tensor::from<float>({columns, 1}, weights));
  model.graph.output(kScoresOutput, matmul(model.graph, features, w));
  INK_CHECK_OK(model.graph.status());
  model.metadata = {{"kind", "conditional_logit"}, {kSchemaKey, schema_tag(schema)}};
  return model;
}

Result<Model> scaled_logit_model(const FeatureSchema& schema, std::span<const float> deviation,
                                 std::span<const float> weights) {
  const std::size_t width = schema.width();
  const bool positive = std::all_of(deviation.begin(), deviation.end(),
                                    [](float v) { return v > 0 && std::isfinite(v); });
  if (weights.size() != width || deviation.size() != width || !positive) {
    return fail(ErrorCode::kInvalidArgument, "scaled logit: ", weights.size(), " weights and ",
                deviation.size(), " deviations, expected ", width, " each, deviations above 0");
  }
  const auto columns = static_cast<std::int64_t>(width);
  const std::int64_t rows = columns == kExampleRows ? kExampleRows + 6 : kExampleRows;
  std::vector<float> factors;
  for (const float v : deviation) factors.push_back(1 / v);
  Model model;
  Graph& g = model.graph;
  const ValueId features = g.input(kFeaturesInput, {DType::kF32, {rows, columns}});
  const ValueId factor =
      g.constant(Tensor::from<float>({1, columns}, std::span<const float>(factors)));
  const ValueId scaled = mul(g, features, factor);
  const ValueId head = g.variable(kHeadVariable, Tensor::from<float>({columns, 1}, weights));
  g.output(kRepresentationOutput, scaled);
  g.output(kScoresOutput, matmul(g, scaled, head));
  INK_CHECK_OK(g.status());
  model.metadata = {{"kind", "conditional_logit"}, {kSchemaKey, schema_tag(schema)}};
  return model;
}

}  // namespace inkling
