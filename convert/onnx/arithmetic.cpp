// Elementwise ONNX ops and reductions.

#include <algorithm>
#include <cmath>

#include "convert/onnx/importer.h"

namespace inkling::onnx_import {

namespace {

template <ValueId (*kBuild)(Graph&, ValueId)>
Result<void> unary(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  return n.yield(kBuild(n.graph(), x));
}

template <ValueId (*kBuild)(Graph&, ValueId, ValueId)>
Result<void> binary(NodeReader& n) {
  INK_TRY(const ValueId a, n.tensor(0));
  INK_TRY(const ValueId b, n.tensor(1));
  return n.yield(kBuild(n.graph(), a, b));
}

ValueId reciprocal(Graph& g, ValueId x) { return div(g, scalar_like(g, x, 1.0), x); }

Result<void> clip(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  double low = n.real_attribute("min", -kInfinity), high = n.real_attribute("max", kInfinity);
  if (n.has(1)) {
    INK_TRY(low, n.number(1));
  }
  if (n.has(2)) {
    INK_TRY(high, n.number(2));
  }
  return n.yield(clamp(n.graph(), x, low, high));
}

Result<void> hard_sigmoid_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  return n.yield(
      hard_sigmoid(n.graph(), x, n.real_attribute("alpha", 0.2f), n.real_attribute("beta", 0.5f)));
}

// max(x, 0) + slope min(x, 0)
Result<void> leaky_relu(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  Graph& g = n.graph();
  const ValueId below = scale(g, clamp(g, x, -kInfinity, 0.0), n.real_attribute("alpha", 0.01f));
  return n.yield(add(g, relu(g, x), below));
}

Result<void> power(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  INK_TRY(const double exponent, n.number(1));
  Graph& g = n.graph();
  if (exponent == 1.0) return n.yield(x);
  if (exponent == 2.0) return n.yield(mul(g, x, x));
  if (exponent == 3.0) return n.yield(mul(g, mul(g, x, x), x));
  if (exponent == 0.5) return n.yield(sqrt(g, x));
  return n.unsupported("an exponent of ", exponent);
}

template <bool kMean>
Result<void> reduce(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const Shape from = n.shape(x);
  INK_TRY(auto axes, n.axes(1, from.rank()));
  if (axes.empty() && n.integer_attribute("noop_with_empty_axes", 0) != 0) return n.yield(x);
  if (axes.empty()) {
    for (std::size_t i = 0; i < from.rank(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  }
  Shape kept = from;
  std::vector<std::int64_t> dropped;
  for (std::size_t i = 0; i < from.rank(); ++i) {
    if (std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(i)) != axes.end()) {
      kept = kept.with(i, 1);
    } else {
      dropped.push_back(from[i]);
    }
  }
  Graph& g = n.graph();
  const ValueId y = kMean ? mean_axes(g, x, axes) : sum_to(g, x, kept);
  if (n.integer_attribute("keepdims", 1) != 0) return n.yield(y);
  INK_TRY(const Shape shape, shape_from(dropped));
  return n.yield(reshape(g, y, shape));
}

Result<void> identity(NodeReader& n) {
  INK_TRY(const Imported* x, n.input(0));
  return x->integers ? n.yield(*x->integers) : n.yield(x->tensor);
}

Result<void> cast(NodeReader& n) {
  INK_TRY(const Imported* x, n.input(0));
  const std::int64_t to = n.integer_attribute("to", 0);
  const bool to_integer = to == onnx::TensorProto::INT64 || to == onnx::TensorProto::INT32;
  const bool to_float = to == onnx::TensorProto::FLOAT;
  if (x->integers && to_integer) return n.yield(*x->integers);
  if (x->tensor != kNoValue && to_float) return n.yield(x->tensor);
  if (x->integers && to_float) {
    const std::vector<float> values(x->integers->values.begin(), x->integers->values.end());
    return n.yield(n.graph().constant(Tensor::from<float>(x->integers->shape, values)));
  }
  return n.unsupported("a cast to element type ", to);
}

// x * 0.5 * (1 + erf(x / sqrt 2)) and others arrive as chains of these.
constexpr HandlerRow kRows[] = {
    {"Abs",
     [](NodeReader& n) -> Result<void> {
       INK_TRY(const ValueId x, n.tensor(0));
       Graph& g = n.graph();
       return n.yield(sub(g, relu(g, x), clamp(g, x, -kInfinity, 0.0)));
     }},
    {"Add", binary<add>},
    {"Cast", cast},
    {"Clip", clip},
    {"Div", binary<div>},
    {"Dropout", identity},
    {"Erf", unary<erf>},
    {"Exp", unary<exp>},
    {"HardSigmoid", hard_sigmoid_op},
    {"HardSwish", unary<hard_swish>},
    {"Identity", identity},
    {"LeakyRelu", leaky_relu},
    {"Log", unary<log>},
    {"Mul", binary<mul>},
    {"Neg", unary<neg>},
    {"Pow", power},
    {"Reciprocal", unary<reciprocal>},
    {"ReduceMean", reduce<true>},
    {"ReduceSum", reduce<false>},
    {"Relu", unary<relu>},
    {"Sigmoid", unary<sigmoid>},
    {"Sqrt", unary<sqrt>},
    {"Sub", binary<sub>},
    {"Tanh", unary<tanh>},
};

}  // namespace

std::span<const HandlerRow> arithmetic_handlers() { return kRows; }

}  // namespace inkling::onnx_import
