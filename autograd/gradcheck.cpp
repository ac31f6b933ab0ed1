#include "autograd/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "autograd/differentiate.h"
#include "runtime/ops.h"
#include "runtime/session.h"

namespace inkling {

namespace {

// At this step the truncation error (h^2 |f'''| / 6) and the rounding error (1e-16 |f| / h) of
// values near one are both below 1e-9.
constexpr double kStep = 1e-5;

Tensor random_tensor(const Shape& shape, Rng& rng, double low, double high) {
  Tensor tensor = Tensor::zeros({DType::kF64, shape});
  for (double& v : tensor.mutable_data<double>()) v = low + (high - low) * rng.uniform();
  return tensor;
}

}  // namespace

Result<GradcheckReport> check_gradients(const GraphBuilder& build, std::span<const Shape> inputs,
                                        Rng& rng, double low, double high) {
  Graph graph;
  std::vector<ValueId> ids;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    ids.push_back(graph.input(concat("x", i), {DType::kF64, inputs[i]}));
  const ValueId y = build(graph, ids);
  INK_CHECK_OK(graph.status());
  const ValueId weights = graph.constant(random_tensor(graph.shape(y), rng, -1.0, 1.0));
  const ValueId loss = sum(graph, mul(graph, y, weights));
  INK_TRY(const auto gradients, differentiate(graph, loss, ids));
  graph.output("loss", reshape(graph, loss, Shape{}));
  for (std::size_t i = 0; i < ids.size(); ++i) graph.output(concat("dx", i), gradients[i]);
  INK_TRY(Session session, Session::create(graph, {.optimize = false, .reference_only = true}));

  std::vector<TensorView> x;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    INK_TRY(x.emplace_back(), session.input(concat("x", i)));
    const Tensor values = random_tensor(inputs[i], rng, low, high);
    std::copy(values.data<double>().begin(), values.data<double>().end(),
              x.back().span<double>().begin());
  }
  session.run();
  std::vector<std::vector<double>> analytic;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    INK_TRY(const TensorView dx, session.output(concat("dx", i)));
    analytic.emplace_back(dx.span<double>().begin(), dx.span<double>().end());
  }
  INK_TRY(const TensorView value, session.output("loss"));
  const auto loss_at = [&](double& element, double at) {
    element = at;
    session.run();
    return *value.as<double>();
  };
  GradcheckReport report;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::vector<double> numeric;
    double scale = 1.0;
    for (double& element : x[i].span<double>()) {
      const double centre = element;
      numeric.push_back((loss_at(element, centre + kStep) - loss_at(element, centre - kStep)) /
                        (2 * kStep));
      element = centre;
      scale = std::max(scale, std::abs(numeric.back()));
    }
    for (std::size_t j = 0; j < numeric.size(); ++j) {
      report.worst_error =
          std::max(report.worst_error, std::abs(numeric[j] - analytic[i][j]) / scale);
      ++report.elements;
    }
  }
  return report;
}

}  // namespace inkling
