// TensorFlow Lite ops on numbers: elementwise, comparisons, reductions, softmax.

#include <array>

#include "convert/tflite/importer.h"

namespace inkling::tflite_import {

namespace {

using Unary = ValueId (*)(Graph&, ValueId);
using Binary = ValueId (*)(Graph&, ValueId, ValueId);

template <Unary op>
Result<void> unary(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  return n.yield(op(n.graph(), x));
}

template <Binary op>
Result<void> binary(OpReader& n) {
  INK_TRY(const ValueId a, n.input(0));
  INK_TRY(const ValueId b, n.input(1));
  return n.yield(op(n.graph(), a, b));
}

template <Binary op>
Result<void> arithmetic(OpReader& n) {
  INK_TRY(const ValueId a, n.input(0));
  INK_TRY(const ValueId b, n.input(1));
  INK_TRY(const auto* options, n.options<tflite::ArithmeticOptions>());
  return n.yield_activated(op(n.graph(), a, b), options->activation());
}

ValueId same(Graph&, ValueId x) { return x; }
ValueId relu_1(Graph& g, ValueId x) { return clamp(g, x, -1, 1); }
ValueId square(Graph& g, ValueId x) { return mul(g, x, x); }
ValueId rsqrt(Graph& g, ValueId x) { return div(g, scalar_like(g, x, 1), sqrt(g, x)); }
ValueId greater(Graph& g, ValueId a, ValueId b) { return less(g, b, a); }
ValueId greater_equal(Graph& g, ValueId a, ValueId b) { return less_equal(g, b, a); }
ValueId not_equal(Graph& g, ValueId a, ValueId b) { return logical_not(g, equal(g, a, b)); }
ValueId squared_difference(Graph& g, ValueId a, ValueId b) { return square(g, sub(g, a, b)); }
// max(x, 0) + (exp(min(x, 0)) - 1)
ValueId elu(Graph& g, ValueId x) {
  return add(g, relu(g, x), shift(g, exp(g, clamp(g, x, -kInfinity, 0)), -1));
}
// x where it is positive, x slope elsewhere
ValueId prelu(Graph& g, ValueId x, ValueId slope) {
  return add(g, relu(g, x), mul(g, clamp(g, x, -kInfinity, 0), slope));
}

Result<void> leaky_relu(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(const auto* options, n.options<tflite::LeakyReluOptions>());
  Graph& g = n.graph();
  const double alpha = static_cast<double>(options->alpha());
  return n.yield(add(g, relu(g, x), scale(g, clamp(g, x, -kInfinity, 0), alpha)));
}

Result<void> select(OpReader& n) {
  INK_TRY(const ValueId condition, n.input(0));
  INK_TRY(const ValueId a, n.input(1));
  INK_TRY(const ValueId b, n.input(2));
  return n.yield(where(n.graph(), condition, a, b));
}

Result<void> softmax_of(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(const auto* options, n.options<tflite::SoftmaxOptions>());
  Graph& g = n.graph();
  const double beta = static_cast<double>(options->beta());
  return n.yield(softmax(g, beta == 1 ? x : scale(g, x, beta)));
}

using Reduction = ValueId (*)(Graph&, ValueId, const Shape&);

ValueId mean_to(Graph& g, ValueId x, const Shape& shape) {
  const double ratio =
      static_cast<double>(shape.elements()) / static_cast<double>(Shape(g.shape(x)).elements());
  return scale(g, sum_to(g, x, shape), ratio);
}

template <Reduction op>
Result<void> reduce(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  INK_TRY(const auto axes, n.integers(1));
  INK_TRY(const auto* options, n.options<tflite::ReducerOptions>());
  const Shape from = n.shape(x);
  if (from.elements() == 0) return n.unsupported("nothing to reduce: ", from);
  std::vector<bool> reduced(from.rank());
  for (const std::int64_t a : axes) {
    INK_TRY(const std::size_t axis, n.axis(a, from.rank()));
    reduced[axis] = true;
  }
  Shape to = from;
  std::vector<std::int64_t> kept;
  for (std::size_t axis = 0; axis < from.rank(); ++axis) {
    if (reduced[axis]) to = to.with(axis, 1);
    if (!reduced[axis] || options->keep_dims()) kept.push_back(to[axis]);
  }
  INK_TRY(const Shape shape, Shape::from(kept));
  return n.yield(reshape(n.graph(), op(n.graph(), x, to), shape));
}

Result<void> l2_normalize(OpReader& n) {
  INK_TRY(const ValueId x, n.input(0));
  Graph& g = n.graph();
  const Shape shape = n.shape(x);
  if (shape.rank() == 0) return n.corrupt("of a single number");
  const ValueId squares = sum_to(g, square(g, x), shape.with(shape.rank() - 1, 1));
  return n.yield(div(g, x, sqrt(g, maximum(g, squares, scalar_like(g, squares, 1e-6)))));
}

constexpr HandlerRow kRows[] = {
    {0, "ADD", arithmetic<add>},
    {6, "DEQUANTIZE", unary<same>},  // constants are floats already
    {8, "FLOOR", unary<floor>},
    {11, "L2_NORMALIZATION", l2_normalize},
    {14, "LOGISTIC", unary<sigmoid>},
    {18, "MUL", arithmetic<mul>},
    {19, "RELU", unary<relu>},
    {20, "RELU_N1_TO_1", unary<relu_1>},
    {21, "RELU6", unary<relu6>},
    {25, "SOFTMAX", softmax_of},
    {28, "TANH", unary<tanh>},
    {40, "MEAN", reduce<mean_to>},
    {41, "SUB", arithmetic<sub>},
    {42, "DIV", arithmetic<div>},
    {47, "EXP", unary<exp>},
    {50, "LOG_SOFTMAX", unary<log_softmax>},
    {54, "PRELU", binary<prelu>},
    {55, "MAXIMUM", binary<maximum>},
    {57, "MINIMUM", binary<minimum>},
    {58, "LESS", binary<less>},
    {59, "NEG", unary<neg>},
    {61, "GREATER", binary<greater>},
    {62, "GREATER_EQUAL", binary<greater_equal>},
    {63, "LESS_EQUAL", binary<less_equal>},
    {64, "SELECT", select},
    {66, "SIN", unary<sin>},
    {71, "EQUAL", binary<equal>},
    {72, "NOT_EQUAL", binary<not_equal>},
    {73, "LOG", unary<log>},
    {74, "SUM", reduce<sum_to>},
    {75, "SQRT", unary<sqrt>},
    {76, "RSQRT", unary<rsqrt>},
    {78, "POW", binary<pow>},
    {81, "REDUCE_PROD", reduce<prod_to>},
    {82, "REDUCE_MAX", reduce<max_to>},
    {84, "LOGICAL_OR", binary<logical_or>},
    {86, "LOGICAL_AND", binary<logical_and>},
    {87, "LOGICAL_NOT", unary<logical_not>},
    {89, "REDUCE_MIN", reduce<min_to>},
    {92, "SQUARE", unary<square>},
    {98, "LEAKY_RELU", leaky_relu},
    {99, "SQUARED_DIFFERENCE", binary<squared_difference>},
    {101, "ABS", unary<abs>},
    {104, "CEIL", unary<ceil>},
    {108, "COS", unary<cos>},
    {111, "ELU", unary<elu>},
    {114, "QUANTIZE", unary<same>},  // its output's scale does the rounding
    {116, "ROUND", unary<round>},
    {117, "HARD_SWISH", unary<hard_swish>},
    {123, "SELECT_V2", select},
    {124, "DENSIFY", unary<same>},  // constants are dense already
};

}  // namespace

std::span<const HandlerRow> arithmetic_handlers() { return kRows; }

}  // namespace inkling::tflite_import
