// Elementwise functions of two tensors of numbers: y[i] = f(a[i], b[i]).
//
//   add      a + b        da = dy                  db = dy
//   sub      a - b        da = dy                  db = -dy
//   mul      a b          da = dy b                db = dy a
//   div      a / b        da = dy / b              db = -dy y / b
//   maximum  the larger   da = dy where a = y      db = dy where a != y
//   minimum  the smaller  da = dy where a = y      db = dy where a != y
//   pow      a^b          da = dy b a^(b - 1)      db = dy y ln a
//   mod      a - b floor(a / b), the sign of b (mode 0); or the remainder of the quotient rounded
//            towards zero, the sign of a (mode 1)  da = dy   db = (a - y) / -b dy
//
// Integers wrap around and a division by zero gives zero (runtime/ops/elementwise.h). The ops take
// shapes that broadcast together (NumPy's rule), which the fusion pass uses. The builders below
// append broadcast_to instead, so that the derivatives need not know about broadcasting.

#include <cmath>

#include "runtime/ops/elementwise.h"

namespace inkling {

namespace {

using ops::set_summed;

struct Add {
  template <typename T>
  static T of(T a, T b) {
    return ops::wrap(a, b, [](auto x, auto y) { return x + y; });
  }
  static void derivative(Adjoint& a) {
    if (a.wanted(0)) set_summed(a, 0, a.cotangent());
    if (a.wanted(1)) set_summed(a, 1, a.cotangent());
  }
};
struct Sub {
  template <typename T>
  static T of(T a, T b) {
    return ops::wrap(a, b, [](auto x, auto y) { return x - y; });
  }
  static void derivative(Adjoint& a) {
    if (a.wanted(0)) set_summed(a, 0, a.cotangent());
    if (a.wanted(1)) set_summed(a, 1, neg(a.graph, a.cotangent()));
  }
};
struct Mul {
  template <typename T>
  static T of(T a, T b) {
    return ops::wrap(a, b, [](auto x, auto y) { return x * y; });
  }
  static void derivative(Adjoint& a) {
    if (a.wanted(0)) set_summed(a, 0, mul(a.graph, a.cotangent(), a.input(1)));
    if (a.wanted(1)) set_summed(a, 1, mul(a.graph, a.cotangent(), a.input(0)));
  }
};
struct Div {
  template <typename T>
  static T of(T a, T b) {
    return ops::quotient(a, b);
  }
  static void derivative(Adjoint& a) {
    const ValueId quotient = div(a.graph, a.cotangent(), a.input(1));
    if (a.wanted(0)) set_summed(a, 0, quotient);
    if (a.wanted(1)) set_summed(a, 1, neg(a.graph, mul(a.graph, quotient, a.output())));
  }
};

// The gradient goes to the operand that the output equals; to the first when both do.
void chosen_derivative(Adjoint& a) {
  Graph& g = a.graph;
  const ValueId first = equal(g, a.input(0), a.output());
  const ValueId zero = scalar_like(g, a.cotangent(), 0.0);
  if (a.wanted(0)) set_summed(a, 0, where(g, first, a.cotangent(), zero));
  if (a.wanted(1)) set_summed(a, 1, where(g, first, zero, a.cotangent()));
}

// A NaN among the operands is the result, as in NumPy.
template <typename T>
bool is_nan(T x) {
  return x != x;
}
struct Maximum {
  template <typename T>
  static T of(T a, T b) {
    return is_nan(a) || a > b ? a : b;
  }
};
struct Minimum {
  template <typename T>
  static T of(T a, T b) {
    return is_nan(a) || a < b ? a : b;
  }
};

struct Pow {
  template <typename T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::pow(a, b);
    } else {
      if (b < T{0}) return a == T{1} ? a : T{0};
      T y{1};
      for (; b > T{0}; b = static_cast<T>(b / 2), a = Mul::of(a, a)) {
        if (b % 2 != 0) y = Mul::of(y, a);
      }
      return y;
    }
  }
  static void derivative(Adjoint& a) {
    Graph& g = a.graph;
    if (a.wanted(0)) {
      const ValueId slope = mul(g, a.input(1), pow(g, a.input(0), shift(g, a.input(1), -1.0)));
      set_summed(a, 0, mul(g, a.cotangent(), slope));
    }
    if (a.wanted(1))
      set_summed(a, 1, mul(g, a.cotangent(), mul(g, a.output(), log(g, a.input(0)))));
  }
};

template <typename T>
T remainder(T a, T b, bool truncated) {
  T r;
  if constexpr (std::is_floating_point_v<T>) {
    r = std::fmod(a, b);
  } else {
    r = b == 0 ? T{0} : Sub::of(a, Mul::of(ops::quotient(a, b), b));
  }
  return !truncated && r != T{0} && (r < T{0}) != (b < T{0}) ? static_cast<T>(r + b) : r;
}

void mod_reference(const KernelArgs& args) {
  const bool truncated = args.attrs.integer(Attr::kMode) != 0;
  ops::on_number(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    ops::zip<T, T>(args, [truncated](T a, T b) { return remainder(a, b, truncated); });
  });
}

void mod_derivative(Adjoint& a) {
  Graph& g = a.graph;
  if (a.wanted(0)) set_summed(a, 0, a.cotangent());
  if (a.wanted(1)) {
    const ValueId whole = div(g, sub(g, a.output(), a.input(0)), a.input(1));
    set_summed(a, 1, mul(g, a.cotangent(), whole));
  }
}

template <typename F>
constexpr OpDef def(const char* name, void (*derivative)(Adjoint&)) {
  return {name, ops::infer_binary_number, ops::zip_numbers<F>, derivative, true};
}

}  // namespace

constinit const OpDef add_def = def<Add>("add", Add::derivative);
constinit const OpDef sub_def = def<Sub>("sub", Sub::derivative);
constinit const OpDef mul_def = def<Mul>("mul", Mul::derivative);
constinit const OpDef div_def = def<Div>("div", Div::derivative);
constinit const OpDef maximum_def = def<Maximum>("maximum", chosen_derivative);
constinit const OpDef minimum_def = def<Minimum>("minimum", chosen_derivative);
constinit const OpDef pow_def = def<Pow>("pow", Pow::derivative);
constinit const OpDef mod_def{"mod", ops::infer_binary_number, mod_reference, mod_derivative, true};

ValueId ops::append_broadcast(Graph& g, OpKind op, ValueId a, ValueId b, Attrs attrs) {
  if (!g.status()) return kNoValue;
  const auto shape = ops::broadcast_shape(g.shape(a), g.shape(b));
  if (!shape) {
    g.latch({shape.error().code, concat(op_name(op), ": ", shape.error().message)});
    return kNoValue;
  }
  const ValueId whole_a = broadcast_to(g, a, *shape), whole_b = broadcast_to(g, b, *shape);
  return g.append(op, {whole_a, whole_b}, std::move(attrs));
}

using ops::append_broadcast;
ValueId add(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kAdd, a, b); }
ValueId sub(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kSub, a, b); }
ValueId mul(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kMul, a, b); }
ValueId div(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kDiv, a, b); }
ValueId pow(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kPow, a, b); }
ValueId maximum(Graph& g, ValueId a, ValueId b) {
  return append_broadcast(g, OpKind::kMaximum, a, b);
}
ValueId minimum(Graph& g, ValueId a, ValueId b) {
  return append_broadcast(g, OpKind::kMinimum, a, b);
}
ValueId mod(Graph& g, ValueId a, ValueId b, bool truncated) {
  return append_broadcast(g, OpKind::kMod, a, b, {{Attr::kMode, std::int64_t{truncated}}});
}

ValueId scalar_like(Graph& g, ValueId x, double value) {
  if (!g.status()) return kNoValue;
  return scalar_of(g, g.spec(x).dtype, value);
}

ValueId scalar_of(Graph& g, DType dtype, double value) {
  Tensor scalar = Tensor::zeros({dtype, {}});
  if (dtype == DType::kBool) {
    scalar.mutable_data<bool>()[0] = value != 0.0;
  } else if (!ops::holds(dtype, value)) {
    g.latch({ErrorCode::kInvalidArgument, concat("a ", dtype_name(dtype), " cannot be ", value)});
  } else {
    ops::on_number(dtype, [&](auto tag) {
      using T = decltype(tag);
      scalar.mutable_data<T>()[0] = static_cast<T>(value);
    });
  }
  return g.constant(std::move(scalar));
}

ValueId scale(Graph& g, ValueId x, double factor) { return mul(g, x, scalar_like(g, x, factor)); }
ValueId shift(Graph& g, ValueId x, double offset) { return add(g, x, scalar_like(g, x, offset)); }

}  // namespace inkling
