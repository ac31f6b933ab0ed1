// Elementwise functions of two tensors: y[i] = f(a[i], b[i]).
//
//   add  a + b   da = dy        db = dy
//   sub  a - b   da = dy        db = -dy
//   mul  a b     da = dy b      db = dy a
//   div  a / b   da = dy / b    db = -dy y / b
//
// The ops take shapes that broadcast together (NumPy's rule), which the fusion pass uses. The
// builders below append broadcast_to instead, so that the derivatives need not know about
// broadcasting.

#include "runtime/ops/support.h"

namespace inkling {

namespace {

ops::Specs infer(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(ops::expect_floats(in, 2, 2));
  INK_TRY(const Shape shape, ops::broadcast_shape(in[0].shape, in[1].shape));
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

template <typename F>
void zip(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* a = args.in[0].as<T>();
    const T* b = args.in[1].as<T>();
    T* y = args.out[0].as<T>();
    const Shape& shape = args.out[0].shape();
    ops::for_each_index<2>(
        shape,
        {ops::broadcast_strides(args.in[0].shape(), shape),
         ops::broadcast_strides(args.in[1].shape(), shape)},
        [&](std::int64_t i, const auto& at) { y[i] = F::of(a[at[0]], b[at[1]]); });
  });
}

// Gradients have the shape of the output; an operand that the op itself broadcast sums them back.
void set_summed(Adjoint& a, std::size_t i, ValueId gradient) {
  a.set(i, sum_to(a.graph, gradient, a.graph.shape(a.input(i))));
}

struct Add {
  template <typename T>
  static T of(T a, T b) {
    return a + b;
  }
  static void derivative(Adjoint& a) {
    if (a.wanted(0)) set_summed(a, 0, a.cotangent());
    if (a.wanted(1)) set_summed(a, 1, a.cotangent());
  }
};
struct Sub {
  template <typename T>
  static T of(T a, T b) {
    return a - b;
  }
  static void derivative(Adjoint& a) {
    if (a.wanted(0)) set_summed(a, 0, a.cotangent());
    if (a.wanted(1)) set_summed(a, 1, neg(a.graph, a.cotangent()));
  }
};
struct Mul {
  template <typename T>
  static T of(T a, T b) {
    return a * b;
  }
  static void derivative(Adjoint& a) {
    if (a.wanted(0)) set_summed(a, 0, mul(a.graph, a.cotangent(), a.input(1)));
    if (a.wanted(1)) set_summed(a, 1, mul(a.graph, a.cotangent(), a.input(0)));
  }
};
struct Div {
  template <typename T>
  static T of(T a, T b) {
    return a / b;
  }
  static void derivative(Adjoint& a) {
    const ValueId quotient = div(a.graph, a.cotangent(), a.input(1));
    if (a.wanted(0)) set_summed(a, 0, quotient);
    if (a.wanted(1)) set_summed(a, 1, neg(a.graph, mul(a.graph, quotient, a.output())));
  }
};

ValueId append_broadcast(Graph& g, OpKind op, ValueId a, ValueId b) {
  if (!g.status()) return kNoValue;
  const auto shape = ops::broadcast_shape(g.shape(a), g.shape(b));
  if (!shape) {
    g.latch({shape.error().code, concat(op_name(op), ": ", shape.error().message)});
    return kNoValue;
  }
  return g.append(op, {broadcast_to(g, a, *shape), broadcast_to(g, b, *shape)});
}

}  // namespace

constinit const OpDef add_def{"add", infer, zip<Add>, Add::derivative, true};
constinit const OpDef sub_def{"sub", infer, zip<Sub>, Sub::derivative, true};
constinit const OpDef mul_def{"mul", infer, zip<Mul>, Mul::derivative, true};
constinit const OpDef div_def{"div", infer, zip<Div>, Div::derivative, true};

ValueId add(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kAdd, a, b); }
ValueId sub(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kSub, a, b); }
ValueId mul(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kMul, a, b); }
ValueId div(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kDiv, a, b); }

ValueId scalar_like(Graph& g, ValueId x, double value) {
  if (!g.status()) return kNoValue;
  return g.constant(g.spec(x).dtype == DType::kF64 ? Tensor::scalar(value)
                                                   : Tensor::scalar(static_cast<float>(value)));
}

ValueId scale(Graph& g, ValueId x, double factor) { return mul(g, x, scalar_like(g, x, factor)); }
ValueId shift(Graph& g, ValueId x, double offset) { return add(g, x, scalar_like(g, x, offset)); }

}  // namespace inkling
