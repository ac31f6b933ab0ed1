// Elementwise functions of one tensor: y[i] = f(x[i]).
//
//   neg      -x               dx = -dy
//   exp      e^x              dx = dy y
//   log      ln x             dx = dy / x
//   sqrt     x^(1/2)          dx = dy / (2 y)
//   tanh                      dx = dy (1 - y^2)
//   sigmoid  1 / (1 + e^-x)   dx = dy y (1 - y)
//   erf                       dx = dy (2 / sqrt(pi)) e^(-x^2)

#include <cmath>
#include <numbers>

#include "runtime/ops/elementwise.h"

namespace inkling {

namespace {

struct Neg {
  template <typename T>
  static T of(T x) {
    return -x;
  }
  static void derivative(Adjoint& a) { a.set(0, neg(a.graph, a.cotangent())); }
};
struct Exp {
  template <typename T>
  static T of(T x) {
    return std::exp(x);
  }
  static void derivative(Adjoint& a) { a.set(0, mul(a.graph, a.cotangent(), a.output())); }
};
struct Log {
  template <typename T>
  static T of(T x) {
    return std::log(x);
  }
  static void derivative(Adjoint& a) { a.set(0, div(a.graph, a.cotangent(), a.input(0))); }
};
struct Sqrt {
  template <typename T>
  static T of(T x) {
    return std::sqrt(x);
  }
  static void derivative(Adjoint& a) {
    a.set(0, div(a.graph, a.cotangent(), scale(a.graph, a.output(), 2.0)));
  }
};
struct Tanh {
  template <typename T>
  static T of(T x) {
    return std::tanh(x);
  }
  static void derivative(Adjoint& a) {
    const ValueId slope = shift(a.graph, neg(a.graph, mul(a.graph, a.output(), a.output())), 1.0);
    a.set(0, mul(a.graph, a.cotangent(), slope));
  }
};
struct Sigmoid {
  template <typename T>
  static T of(T x) {
    return T{1} / (T{1} + std::exp(-x));
  }
  static void derivative(Adjoint& a) {
    const ValueId slope = mul(a.graph, a.output(), shift(a.graph, neg(a.graph, a.output()), 1.0));
    a.set(0, mul(a.graph, a.cotangent(), slope));
  }
};
struct Erf {
  template <typename T>
  static T of(T x) {
    return std::erf(x);
  }
  static void derivative(Adjoint& a) {
    const ValueId bell = exp(a.graph, neg(a.graph, mul(a.graph, a.input(0), a.input(0))));
    a.set(0, mul(a.graph, a.cotangent(), scale(a.graph, bell, 2.0 / std::sqrt(std::numbers::pi))));
  }
};

}  // namespace

constinit const OpDef neg_def{"neg", ops::infer_unary_float, ops::map_floats<Neg>, Neg::derivative,
                              true};
constinit const OpDef exp_def{"exp", ops::infer_unary_float, ops::map_floats<Exp>, Exp::derivative,
                              true};
constinit const OpDef log_def{"log", ops::infer_unary_float, ops::map_floats<Log>, Log::derivative,
                              true};
constinit const OpDef sqrt_def{"sqrt", ops::infer_unary_float, ops::map_floats<Sqrt>,
                               Sqrt::derivative, true};
constinit const OpDef tanh_def{"tanh", ops::infer_unary_float, ops::map_floats<Tanh>,
                               Tanh::derivative, true};
constinit const OpDef sigmoid_def{"sigmoid", ops::infer_unary_float, ops::map_floats<Sigmoid>,
                                  Sigmoid::derivative, true};
constinit const OpDef erf_def{"erf", ops::infer_unary_float, ops::map_floats<Erf>, Erf::derivative,
                              true};

ValueId neg(Graph& g, ValueId x) { return g.append(OpKind::kNeg, {x}); }
ValueId exp(Graph& g, ValueId x) { return g.append(OpKind::kExp, {x}); }
ValueId log(Graph& g, ValueId x) { return g.append(OpKind::kLog, {x}); }
ValueId sqrt(Graph& g, ValueId x) { return g.append(OpKind::kSqrt, {x}); }
ValueId tanh(Graph& g, ValueId x) { return g.append(OpKind::kTanh, {x}); }
ValueId sigmoid(Graph& g, ValueId x) { return g.append(OpKind::kSigmoid, {x}); }
ValueId erf(Graph& g, ValueId x) { return g.append(OpKind::kErf, {x}); }

}  // namespace inkling
