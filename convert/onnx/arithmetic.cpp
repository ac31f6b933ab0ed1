// Elementwise ONNX ops.

#include <algorithm>
#include <cmath>

#include "convert/onnx/importer.h"

namespace inkling::onnx_import {

namespace {

// Floats in, floats out.
template <ValueId (*kBuild)(Graph&, ValueId)>
Result<void> unary(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  return n.yield(kBuild(n.graph(), x));
}

template <ValueId (*kBuild)(Graph&, ValueId)>
Result<void> unary_number(NodeReader& n) {
  INK_TRY(const ValueId x, n.number(0));
  return n.yield(kBuild(n.graph(), x));
}

// Before opset 7 the second operand says at which axis of the first its own axes begin.
Result<ValueId> second_operand(NodeReader& n, ValueId a, ValueId b) {
  if (n.opset() >= 7 || !n.flag("broadcast") || !n.attribute("axis")) return b;
  const Shape whole = n.shape(a), part = n.shape(b);
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 0), whole.rank()));
  if (axis + part.rank() > whole.rank())
    return n.corrupt(part, " does not fit into ", whole, " from axis ", axis);
  std::vector<std::int64_t> dims(part.dims().begin(), part.dims().end());
  dims.resize(whole.rank() - axis, 1);
  INK_TRY(const Shape shape, shape_from(dims));
  return reshape(n.graph(), b, shape);
}

template <ValueId (*kBuild)(Graph&, ValueId, ValueId)>
Result<void> binary(NodeReader& n) {
  INK_TRY(const ValueId a, n.number(0));
  INK_TRY(const ValueId right, n.number(1));
  INK_TRY(const ValueId b, second_operand(n, a, right));
  return n.yield(kBuild(n.graph(), a, b));
}

ValueId greater(Graph& g, ValueId a, ValueId b) { return less(g, b, a); }
ValueId greater_equal(Graph& g, ValueId a, ValueId b) { return less_equal(g, b, a); }
ValueId logical_xor(Graph& g, ValueId a, ValueId b) { return logical_not(g, equal(g, a, b)); }

// On bools (and for Equal: on anything).
template <ValueId (*kBuild)(Graph&, ValueId, ValueId)>
Result<void> logical(NodeReader& n) {
  INK_TRY(const ValueId a, n.tensor(0));
  INK_TRY(const ValueId right, n.tensor(1));
  INK_TRY(const ValueId b, second_operand(n, a, right));
  return n.yield(kBuild(n.graph(), a, b));
}

Result<void> equal_op(NodeReader& n) {
  INK_TRY(const ValueId a, n.tensor(0));
  return n.dtype(a) == DType::kBool ? logical<equal>(n) : binary<equal>(n);
}

// Sum, Mean, Max, Min of any number of tensors.
template <ValueId (*kBuild)(Graph&, ValueId, ValueId), bool kMean = false>
Result<void> variadic(NodeReader& n) {
  INK_TRY(ValueId y, n.number(0));
  for (std::size_t i = 1; i < n.input_count(); ++i) {
    INK_TRY(const ValueId x, n.number(i));
    y = kBuild(n.graph(), y, x);
  }
  if (kMean) y = scale(n.graph(), y, 1.0 / static_cast<double>(n.input_count()));
  return n.yield(y);
}

ValueId negative(Graph& g, ValueId x) {
  return is_float(g.spec(x).dtype) ? neg(g, x) : sub(g, scalar_like(g, x, 0.0), x);
}
ValueId reciprocal(Graph& g, ValueId x) { return div(g, scalar_like(g, x, 1.0), x); }
ValueId below(Graph& g, ValueId x) { return clamp(g, x, -kInfinity, 0.0); }
// ln(1 + e^x), without overflow: x / 2 + |x| / 2 + ln(1 + e^-|x|). With max(x, 0) for the first
// term the slope at 0 would come out as 0.
ValueId softplus(Graph& g, ValueId x) {
  const ValueId size = abs(g, x);
  const ValueId bend = log(g, shift(g, exp(g, neg(g, size)), 1.0));
  return add(g, add(g, scale(g, x, 0.5), scale(g, size, 0.5)), bend);
}
ValueId softsign(Graph& g, ValueId x) { return div(g, x, shift(g, abs(g, x), 1.0)); }
ValueId is_nan(Graph& g, ValueId x) { return logical_not(g, equal(g, x, x)); }

// alpha (e^min(x, 0) - 1): the branch of the exponential units below zero
ValueId exponential_branch(Graph& g, ValueId x, double alpha, double width = 1.0) {
  return scale(g, shift(g, exp(g, scale(g, below(g, x), 1.0 / width)), -1.0), alpha);
}

Result<void> elu(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  Graph& g = n.graph();
  return n.yield(add(g, relu(g, x), exponential_branch(g, x, n.real_attribute("alpha", 1.0))));
}

Result<void> celu(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  const double alpha = n.real_attribute("alpha", 1.0);
  if (alpha == 0.0) return n.corrupt("alpha is zero");
  Graph& g = n.graph();
  return n.yield(add(g, relu(g, x), exponential_branch(g, x, alpha, alpha)));
}

Result<void> selu(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  const double alpha = n.real_attribute("alpha", 1.67326319217681884765625);
  const double gamma = n.real_attribute("gamma", 1.05070102214813232421875);
  Graph& g = n.graph();
  return n.yield(scale(g, add(g, relu(g, x), exponential_branch(g, x, alpha)), gamma));
}

Result<void> hard_sigmoid_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  return n.yield(
      hard_sigmoid(n.graph(), x, n.real_attribute("alpha", 0.2f), n.real_attribute("beta", 0.5f)));
}

// max(x, 0) + slope min(x, 0)
Result<void> leaky_relu(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  Graph& g = n.graph();
  return n.yield(add(g, relu(g, x), scale(g, below(g, x), n.real_attribute("alpha", 0.01f))));
}

Result<void> prelu(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  INK_TRY(ValueId slope, n.floats(1));
  Graph& g = n.graph();
  const Shape from = n.shape(x), own = n.shape(slope);
  if (n.opset() < 7 && own.rank() == 1 && own[0] != 1 && from.rank() > 2) {
    std::vector<std::int64_t> dims(from.rank() - 1, 1);  // older models: one slope a channel
    dims[0] = own[0];
    INK_TRY(const Shape shape, shape_from(dims));
    slope = reshape(g, slope, shape);
  }
  return n.yield(add(g, relu(g, x), mul(g, below(g, x), slope)));
}

Result<void> thresholded_relu(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  Graph& g = n.graph();
  const ValueId threshold = scalar_like(g, x, n.real_attribute("alpha", 1.0));
  return n.yield(where(g, less(g, threshold, x), x, scalar_like(g, x, 0.0)));
}

// x + bias below -lambd, x - bias above lambd, 0 between
Result<void> shrink(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  Graph& g = n.graph();
  const double bias = n.real_attribute("bias", 0.0), lambd = n.real_attribute("lambd", 0.5);
  const ValueId zero = scalar_like(g, x, 0.0);
  const ValueId high = where(g, less(g, scalar_like(g, x, lambd), x), shift(g, x, -bias), zero);
  return n.yield(where(g, less(g, x, scalar_like(g, x, -lambd)), shift(g, x, bias), high));
}

Result<void> clip(NodeReader& n) {
  INK_TRY(const ValueId x, n.number(0));
  Graph& g = n.graph();
  std::array<double, 2> bounds = {n.real_attribute("min", -kInfinity),
                                  n.real_attribute("max", kInfinity)};
  std::array<ValueId, 2> given = {kNoValue, kNoValue};
  bool fixed = is_float(n.dtype(x));
  for (std::size_t i = 0; i < 2; ++i) {
    if (!n.has(i + 1)) continue;
    INK_TRY(given[i], n.number(i + 1));
    if (n.shape(given[i]).elements() != 1) return n.corrupt("a bound that is not one number");
    given[i] = reshape(g, given[i], Shape{});
    if (!fixed) continue;
    fixed = g.value(given[i]).kind == ValueKind::kConstant;
    if (fixed) {
      INK_TRY(bounds[i], n.real(i + 1));
    }
  }
  if (fixed && bounds[0] <= bounds[1]) return n.yield(clamp(g, x, bounds[0], bounds[1]));
  ValueId y = x;
  for (std::size_t i = 0; i < 2; ++i) {
    if (given[i] == kNoValue && std::isinf(bounds[i])) continue;
    const ValueId bound = given[i] != kNoValue ? given[i] : scalar_like(g, x, bounds[i]);
    y = i == 0 ? maximum(g, y, bound) : minimum(g, y, bound);
  }
  return n.yield(y);
}

// The result has the type of the base. Integer powers of one integer type stay exact.
Result<void> power(NodeReader& n) {
  INK_TRY(const ValueId x, n.number(0));
  INK_TRY(ValueId exponent, n.number(1));
  Graph& g = n.graph();
  INK_TRY(exponent, second_operand(n, x, exponent));
  const DType type = n.dtype(x), other = n.dtype(exponent);
  if (is_float(type) && g.value(exponent).kind == ValueKind::kConstant &&
      n.shape(exponent).elements() == 1 && n.shape(exponent).rank() <= n.shape(x).rank()) {
    INK_TRY(const double value, n.real(1));
    if (value == 1.0) return n.yield(x);
    if (value == 2.0) return n.yield(mul(g, x, x));
    if (value == 3.0) return n.yield(mul(g, mul(g, x, x), x));
    if (value == 0.5) return n.yield(sqrt(g, x));
  }
  if (type == other) return n.yield(pow(g, x, exponent));
  if (is_float(type) && !is_float(other))
    return n.yield(cast(g, pow(g, cast(g, x, DType::kF64), cast(g, exponent, DType::kF64)), type));
  if (is_integer(type) && is_integer(other)) return n.yield(pow(g, x, cast(g, exponent, type)));
  return n.yield(cast(g, pow(g, cast(g, x, DType::kF64), cast(g, exponent, DType::kF64)), type));
}

Result<void> mod_op(NodeReader& n) {
  INK_TRY(const ValueId a, n.number(0));
  INK_TRY(const ValueId b, n.number(1));
  const bool truncated = n.flag("fmod");
  if (!truncated && is_float(n.dtype(a))) return n.corrupt("floats need fmod = 1");
  return n.yield(mod(n.graph(), a, b, truncated));
}

Result<void> bit_shift(NodeReader& n) {
  INK_TRY(const ValueId a, n.number(0));
  INK_TRY(const ValueId b, n.number(1));
  const std::string direction = n.text_attribute("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") return n.corrupt("no direction");
  return n.yield(direction == "LEFT" ? shift_left(n.graph(), a, b) : shift_right(n.graph(), a, b));
}

Result<void> is_inf(NodeReader& n) {
  INK_TRY(const ValueId x, n.floats(0));
  Graph& g = n.graph();
  const ValueId high = equal(g, x, scalar_like(g, x, kInfinity));
  const ValueId low = equal(g, x, scalar_like(g, x, -kInfinity));
  const bool positive = n.flag("detect_positive", true), negative = n.flag("detect_negative", true);
  if (positive && negative) return n.yield(logical_or(g, low, high));
  if (!positive && !negative) return n.yield(logical_not(g, equal(g, x, x)));
  return n.yield(positive ? high : low);
}

Result<void> not_op(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  if (n.dtype(x) != DType::kBool) return n.corrupt("expected bools");
  return n.yield(logical_not(n.graph(), x));
}

Result<void> where_op(NodeReader& n) {
  INK_TRY(const ValueId condition, n.tensor(0));
  INK_TRY(const ValueId a, n.tensor(1));
  INK_TRY(const ValueId b, n.tensor(2));
  return n.yield(where(n.graph(), condition, a, b));
}

Result<void> cast_to(NodeReader& n, DType to) {
  INK_TRY(const ValueId x, n.tensor(0));
  if (to == DType::kBF16 && n.dtype(x) != to)
    return n.unsupported("a cast to bf16: the definition does not say how it rounds");
  return n.yield(cast(n.graph(), x, to));
}

Result<void> cast_op(NodeReader& n) {
  INK_TRY(const DType to, n.dtype_of(n.integer_attribute("to", 0)));
  return cast_to(n, to);
}

Result<void> cast_like(NodeReader& n) {
  INK_TRY(const ValueId like, n.tensor(1));
  return cast_to(n, n.dtype(like));
}

// Of any kind of value.
Result<void> identity(NodeReader& n) {
  INK_TRY(const Imported* x, n.input(0));
  return n.yield(0, Imported(*x));
}

// Outside training a dropout does nothing; with a ratio of zero it does nothing inside, too.
Result<void> dropout(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  bool training = n.opset() < 7 && !n.flag("is_test");
  double ratio = n.real_attribute("ratio", 0.5);
  if (n.opset() >= 12 && n.has(2)) {
    INK_TRY(const auto mode, n.integers(2));
    training = !mode.empty() && mode[0] != 0;
  }
  if (training && n.opset() >= 12 && n.has(1)) {
    INK_TRY(ratio, n.real(1));
  }
  if (training && ratio != 0.0) return n.unsupported("a random draw");
  if (n.wants(1)) {
    Graph& g = n.graph();
    const ValueId all = scalar_of(g, n.opset() < 10 ? n.dtype(x) : DType::kBool, 1.0);
    INK_CHECK_OK(n.yield(1, broadcast_to(g, all, n.shape(x))));
  }
  return n.yield(0, Imported{x, std::nullopt});
}

constexpr HandlerRow kRows[] = {
    {"Abs", unary_number<abs>},
    {"Acos", unary<acos>},
    {"Acosh", unary<acosh>},
    {"Add", binary<add>},
    {"And", logical<logical_and>},
    {"Asin", unary<asin>},
    {"Asinh", unary<asinh>},
    {"Atan", unary<atan>},
    {"Atanh", unary<atanh>},
    {"BitShift", bit_shift},
    {"Cast", cast_op},
    {"CastLike", cast_like},
    {"Ceil", unary<ceil>},
    {"Celu", celu},
    {"Clip", clip},
    {"Cos", unary<cos>},
    {"Cosh", unary<cosh>},
    {"Div", binary<div>},
    {"Dropout", dropout},
    {"Elu", elu},
    {"Equal", equal_op},
    {"Erf", unary<erf>},
    {"Exp", unary<exp>},
    {"Floor", unary<floor>},
    {"Greater", binary<greater>},
    {"GreaterOrEqual", binary<greater_equal>},
    {"HardSigmoid", hard_sigmoid_op},
    {"HardSwish", unary<hard_swish>},
    {"Identity", identity},
    {"IsInf", is_inf},
    {"IsNaN", unary<is_nan>},
    {"LeakyRelu", leaky_relu},
    {"Less", binary<less>},
    {"LessOrEqual", binary<less_equal>},
    {"Log", unary<log>},
    {"Max", variadic<maximum>},
    {"Mean", variadic<add, true>},
    {"Min", variadic<minimum>},
    {"Mod", mod_op},
    {"Mul", binary<mul>},
    {"Neg", unary_number<negative>},
    {"Not", not_op},
    {"Or", logical<logical_or>},
    {"PRelu", prelu},
    {"Pow", power},
    {"Reciprocal", unary<reciprocal>},
    {"Relu", unary<relu>},
    {"Round", unary<round>},
    {"Selu", selu},
    {"Shrink", shrink},
    {"Sigmoid", unary<sigmoid>},
    {"Sign", unary_number<sign>},
    {"Sin", unary<sin>},
    {"Sinh", unary<sinh>},
    {"Softplus", unary<softplus>},
    {"Softsign", unary<softsign>},
    {"Sqrt", unary<sqrt>},
    {"Sub", binary<sub>},
    {"Sum", variadic<add>},
    {"Tan", unary<tan>},
    {"Tanh", unary<tanh>},
    {"ThresholdedRelu", thresholded_relu},
    {"Where", where_op},
    {"Xor", logical<logical_xor>},
};

}  // namespace

std::span<const HandlerRow> arithmetic_handlers() { return kRows; }

}  // namespace inkling::onnx_import
