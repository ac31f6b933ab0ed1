#include "rerank/conditional_logit.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "runtime/ops.h"

namespace inkling {

namespace {

using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Slates {
  std::vector<Rows> features{};
  std::vector<Eigen::VectorXd> targets{};
};

// The ridge as the quadratic form that it is.
struct Pull {
  Eigen::VectorXd towards;
  Eigen::MatrixXd metric;  // times the ridge
  double value(const Eigen::VectorXd& w) const { return (w - towards).dot(metric * (w - towards)); }
};

Eigen::Index index(std::size_t i) { return static_cast<Eigen::Index>(i); }

Slates convert(std::span<const EncodedSlate> slates, std::size_t width) {
  Slates all;
  for (const EncodedSlate& slate : slates) {
    const Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>
        rows(slate.features.data(), index(slate.alternatives), index(width));
    all.features.push_back(rows.cast<double>());
    Eigen::VectorXd target = Eigen::VectorXd::Zero(index(slate.alternatives));
    for (const std::size_t i : slate.chosen)
      target[index(i)] = 1 / static_cast<double>(slate.chosen.size());
    all.targets.push_back(std::move(target));
  }
  return all;
}

Pull pull_of(const ConditionalLogitOptions& options, std::size_t width) {
  Pull pull{.towards = Eigen::VectorXd::Zero(index(width)),
            .metric = Eigen::MatrixXd::Identity(index(width), index(width))};
  if (!options.metric.empty())
    pull.metric = Eigen::Map<const Rows>(options.metric.data(), index(width), index(width));
  if (!options.towards.empty())
    pull.towards = Eigen::Map<const Eigen::VectorXd>(options.towards.data(), index(width));
  pull.metric *= options.ridge;
  return pull;
}

// With probabilities P of a slate X: the gradient is X^T (P - targets), the Hessian X^T (diag(P) -
// P P^T) X.
LogitSums sums_at(const Slates& slates, std::span<const double> weights) {
  const Eigen::Index width = index(weights.size());
  const Eigen::Map<const Eigen::VectorXd> w(weights.data(), width);
  LogitSums sums{.slates = static_cast<double>(slates.features.size()),
                 .gradient = std::vector<double>(weights.size()),
                 .hessian = std::vector<double>(weights.size() * weights.size())};
  Eigen::Map<Eigen::VectorXd> gradient(sums.gradient.data(), width);
  Eigen::Map<Eigen::MatrixXd> hessian(sums.hessian.data(), width, width);
  for (std::size_t i = 0; i < slates.features.size(); ++i) {
    const Rows& x = slates.features[i];
    const Eigen::VectorXd utilities = x * w;
    const double highest = utilities.maxCoeff();
    Eigen::VectorXd probability = (utilities.array() - highest).exp();
    const double total = probability.sum();
    probability /= total;
    sums.nll += highest + std::log(total) - slates.targets[i].dot(utilities);
    const Eigen::VectorXd expected = x.transpose() * probability;
    gradient += expected - x.transpose() * slates.targets[i];
    hessian += x.transpose() * probability.asDiagonal() * x - expected * expected.transpose();
  }
  return sums;
}

Result<void> check(std::size_t width, const ConditionalLogitOptions& options) {
  if (width == 0 || !(options.ridge > 0) || !(options.nll_error >= 0) ||
      (!options.towards.empty() && options.towards.size() != width) ||
      (!options.metric.empty() && options.metric.size() != width * width)) {
    return fail(ErrorCode::kInvalidArgument, "conditional logit: ridge ", options.ridge,
                " towards ", options.towards.size(), " weights with a metric of ",
                options.metric.size(), " numbers: expected a positive ridge, and 0 or ", width,
                " weights");
  }
  return {};
}

}  // namespace

Result<LogitSums> logit_sums(std::span<const EncodedSlate> slates,
                             std::span<const double> weights) {
  INK_CHECK_OK(check_slates(slates, weights.size()));
  return sums_at(convert(slates, weights.size()), weights);
}

Result<ConditionalLogitFit> fit_conditional_logit(std::span<const EncodedSlate> slates,
                                                  std::size_t width,
                                                  const ConditionalLogitOptions& options) {
  if (slates.empty())
    return fail(ErrorCode::kInvalidArgument, "conditional logit: no slate to learn from");
  INK_CHECK_OK(check_slates(slates, width));
  const Slates converted = convert(slates, width);
  return fit_conditional_logit(
      [&](std::span<const double> weights) -> Result<LogitSums> {
        return sums_at(converted, weights);
      },
      width, options);
}

Result<ConditionalLogitFit> fit_conditional_logit(const LogitSource& source, std::size_t width,
                                                  const ConditionalLogitOptions& options) {
  INK_CHECK_OK(check(width, options));
  const Pull pull = pull_of(options, width);
  const auto sums_of = [&](const Eigen::VectorXd& w) -> Result<LogitSums> {
    INK_TRY(LogitSums sums, source({w.data(), width}));
    if (sums.gradient.size() != width || sums.hessian.size() != width * width || !(sums.slates > 0))
      return fail(ErrorCode::kInvalidArgument, "conditional logit: sums over ", sums.slates,
                  " slates of ", sums.gradient.size(), " weights, expected ", width);
    return sums;
  };
  ConditionalLogitFit fit;
  Eigen::VectorXd w = pull.towards;
  INK_TRY(LogitSums sums, sums_of(w));
  for (;; ++fit.iterations) {
    const Eigen::VectorXd gradient =
        Eigen::Map<const Eigen::VectorXd>(sums.gradient.data(), index(width)) +
        2 * (pull.metric * (w - pull.towards));
    const Eigen::MatrixXd hessian =
        Eigen::Map<const Eigen::MatrixXd>(sums.hessian.data(), index(width), index(width)) +
        2 * pull.metric;
    fit.gradient_norm = gradient.norm() / sums.slates;
    if (fit.gradient_norm <= options.gradient_norm_max) {
      fit.hessian.assign(hessian.data(), hessian.data() + hessian.size());
      break;
    }
    if (fit.iterations == options.iterations_max || !std::isfinite(fit.gradient_norm)) {
      return fail(ErrorCode::kFailedPrecondition, "conditional logit: gradient norm ",
                  fit.gradient_norm, " after ", fit.iterations, " steps, expected at most ",
                  options.gradient_norm_max);
    }
    const Eigen::VectorXd step = hessian.ldlt().solve(gradient), from = w;
    const double before = sums.nll + pull.value(w) + options.nll_error;
    for (double length = 1;; length /= 2) {
      w = from - length * step;
      INK_TRY(sums, sums_of(w));
      if (length <= 1e-6 || sums.nll + pull.value(w) <= before) break;
    }
  }
  fit.weights.assign(w.data(), w.data() + w.size());
  fit.nll = sums.nll / sums.slates;
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
