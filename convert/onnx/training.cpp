// The ONNX training preview: gradients, and the steps of three optimizers. A node's inputs are the
// rate R, the step count T, then for each of k tensors its weights, its gradient and its states,
// kind by kind.

#include "autograd/differentiate.h"
#include "convert/onnx/importer.h"

namespace inkling::onnx_import {

namespace {

// The tensors of one weight, in the order in which the node lists its kinds.
Result<std::vector<std::vector<ValueId>>> groups_of(NodeReader& n, std::size_t kinds) {
  if (n.input_count() < 2 + kinds || (n.input_count() - 2) % kinds != 0)
    return n.corrupt(n.input_count(), " inputs for ", kinds, " kinds of tensors");
  const std::size_t count = (n.input_count() - 2) / kinds;
  std::vector<std::vector<ValueId>> groups(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t kind = 0; kind < kinds; ++kind) {
      INK_TRY(groups[i].emplace_back(), n.floats(2 + kind * count + i));
    }
  }
  return groups;
}

struct Clock {
  ValueId rate, step;  // floats
  ValueId started;     // bool: step > 0
};

Result<Clock> clock_of(NodeReader& n) {
  INK_TRY(const ValueId rate, n.floats(0));
  INK_TRY(const ValueId step, n.tensor(1));
  Graph& g = n.graph();
  const ValueId count = cast(g, step, n.dtype(rate));
  return Clock{rate, count, less(g, scalar_like(g, rate, 0.0), count)};
}

ValueId regularised(NodeReader& n, ValueId weights, ValueId gradient) {
  Graph& g = n.graph();
  return add(g, scale(g, weights, n.real_attribute("norm_coefficient", 0.0)), gradient);
}

Result<void> adagrad(NodeReader& n) {
  INK_TRY(const Clock clock, clock_of(n));
  INK_TRY(const auto groups, groups_of(n, 3));
  Graph& g = n.graph();
  const ValueId rate = div(
      g, clock.rate, shift(g, scale(g, clock.step, n.real_attribute("decay_factor", 0.0)), 1.0));
  const double epsilon = n.real_attribute("epsilon", 1e-6f);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const ValueId x = groups[i][0], gradient = regularised(n, x, groups[i][1]);
    const ValueId squares = add(g, groups[i][2], mul(g, gradient, gradient));
    const ValueId step = div(g, mul(g, rate, gradient), shift(g, sqrt(g, squares), epsilon));
    INK_CHECK_OK(n.yield(i, sub(g, x, step)));
    INK_CHECK_OK(n.yield(groups.size() + i, squares));
  }
  return {};
}

Result<void> adam(NodeReader& n) {
  INK_TRY(const Clock clock, clock_of(n));
  INK_TRY(const auto groups, groups_of(n, 4));
  Graph& g = n.graph();
  const double alpha = n.real_attribute("alpha", 0.9f), beta = n.real_attribute("beta", 0.999f);
  // The definition says 1e-6, the recorded cases of the ONNX backend tests were made with 1e-2.
  if (!n.attribute("epsilon")) return n.unsupported("no epsilon: sources disagree on its default");
  const double epsilon = n.real_attribute("epsilon", 0.0);
  // Before the first step nothing is corrected; the correction is then one by something finite.
  const ValueId step = maximum(g, clock.step, scalar_like(g, clock.step, 1.0));
  const auto missing = [&](double base) {  // 1 - base^T
    return shift(g, neg(g, pow(g, scalar_like(g, step, base), step)), 1.0);
  };
  const ValueId corrected = div(g, mul(g, clock.rate, sqrt(g, missing(beta))), missing(alpha));
  const ValueId rate = where(g, clock.started, corrected, clock.rate);
  const double kept = 1.0 - n.real_attribute("norm_coefficient_post", 0.0);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const ValueId x = groups[i][0], gradient = regularised(n, x, groups[i][1]);
    const ValueId first = add(g, scale(g, groups[i][2], alpha), scale(g, gradient, 1.0 - alpha));
    const ValueId second =
        add(g, scale(g, groups[i][3], beta), scale(g, mul(g, gradient, gradient), 1.0 - beta));
    const ValueId way = div(g, mul(g, rate, first), shift(g, sqrt(g, second), epsilon));
    INK_CHECK_OK(n.yield(i, scale(g, sub(g, x, way), kept)));
    INK_CHECK_OK(n.yield(groups.size() + i, first));
    INK_CHECK_OK(n.yield(2 * groups.size() + i, second));
  }
  return {};
}

Result<void> momentum(NodeReader& n) {
  INK_TRY(const Clock clock, clock_of(n));
  INK_TRY(const auto groups, groups_of(n, 3));
  Graph& g = n.graph();
  const double alpha = n.real_attribute("alpha", 0.0);
  const ValueId beta =
      where(g, clock.started, scalar_like(g, clock.rate, n.real_attribute("beta", 1.0)),
            scalar_like(g, clock.rate, 1.0));
  const bool nesterov = n.text_attribute("mode", "standard") == "nesterov";
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const ValueId x = groups[i][0], gradient = regularised(n, x, groups[i][1]);
    const ValueId velocity = add(g, scale(g, groups[i][2], alpha), mul(g, gradient, beta));
    const ValueId way = nesterov ? add(g, gradient, scale(g, velocity, alpha)) : velocity;
    INK_CHECK_OK(n.yield(i, sub(g, x, mul(g, way, clock.rate))));
    INK_CHECK_OK(n.yield(groups.size() + i, velocity));
  }
  return {};
}

// dy / dx for each x; y and the xs are named by attributes and lie in the graph before this node.
Result<void> gradient(NodeReader& n) {
  Graph& g = n.graph();
  const auto value_named = [&](const std::string& name) -> Result<ValueId> {
    const Imported* value = n.importer().find(name);
    if (!value || value->tensor == kNoValue) return n.corrupt("'", name, "' is not a tensor");
    return value->tensor;
  };
  INK_TRY(const ValueId y, value_named(n.text_attribute("y", "")));
  std::vector<ValueId> xs;
  for (const std::string& name : n.texts_attribute("xs")) {
    INK_TRY(xs.emplace_back(), value_named(name));
  }
  const auto gradients = differentiate(g, reshape(g, sum(g, y), Shape{}), xs);
  if (!gradients) return n.unsupported(gradients.error().message);
  for (std::size_t i = 0; i < gradients->size(); ++i) INK_CHECK_OK(n.yield(i, (*gradients)[i]));
  return {};
}

constexpr HandlerRow kRows[] = {
    {"Adagrad", adagrad}, {"Adam", adam}, {"Gradient", gradient}, {"Momentum", momentum}};

}  // namespace

std::span<const HandlerRow> training_handlers() { return kRows; }

}  // namespace inkling::onnx_import
