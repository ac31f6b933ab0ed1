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

#include "runtime/ops/support.h"

namespace inkling {

namespace {

ops::Specs infer(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(ops::expect_floats(in, 1, 1));
  return std::vector<TensorSpec>{in[0]};
}

template <typename F>
void map(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    const std::int64_t n = args.in[0].elements();
    for (std::int64_t i = 0; i < n; ++i) y[i] = F::of(x[i]);
  });
}

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

constinit const OpDef neg_def{"neg", infer, map<Neg>, Neg::derivative, true};
constinit const OpDef exp_def{"exp", infer, map<Exp>, Exp::derivative, true};
constinit const OpDef log_def{"log", infer, map<Log>, Log::derivative, true};
constinit const OpDef sqrt_def{"sqrt", infer, map<Sqrt>, Sqrt::derivative, true};
constinit const OpDef tanh_def{"tanh", infer, map<Tanh>, Tanh::derivative, true};
constinit const OpDef sigmoid_def{"sigmoid", infer, map<Sigmoid>, Sigmoid::derivative, true};
constinit const OpDef erf_def{"erf", infer, map<Erf>, Erf::derivative, true};

ValueId neg(Graph& g, ValueId x) { return g.append(OpKind::kNeg, {x}); }
ValueId exp(Graph& g, ValueId x) { return g.append(OpKind::kExp, {x}); }
ValueId log(Graph& g, ValueId x) { return g.append(OpKind::kLog, {x}); }
ValueId sqrt(Graph& g, ValueId x) { return g.append(OpKind::kSqrt, {x}); }
ValueId tanh(Graph& g, ValueId x) { return g.append(OpKind::kTanh, {x}); }
ValueId sigmoid(Graph& g, ValueId x) { return g.append(OpKind::kSigmoid, {x}); }
ValueId erf(Graph& g, ValueId x) { return g.append(OpKind::kErf, {x}); }

}  // namespace inkling
