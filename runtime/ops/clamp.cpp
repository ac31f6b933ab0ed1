// clamp(x) = min(max(x, low), high)
// clamp_gradient(x, dy) = dy where low < x < high, else 0
//
// d clamp = clamp_gradient(y, dy): y lies strictly between the bounds exactly where x does, so the
// input need not be kept for the backward pass. clamp_gradient is linear in dy and locally constant
// in x, so its own derivative is clamp_gradient for dy and nothing for x.

#include "runtime/ops/support.h"

namespace inkling {

namespace {

Result<void> expect_bounds(const Attrs& attrs) {
  const double low = attrs.real(Attr::kMin, -kInfinity), high = attrs.real(Attr::kMax, kInfinity);
  if (!(low <= high)) return ops::refuse("bounds ", low, " and ", high, ": expected low <= high");
  return {};
}

ops::Specs infer_clamp(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_floats(in, 1, 1));
  INK_CHECK_OK(expect_bounds(attrs));
  return std::vector<TensorSpec>{in[0]};
}

void clamp_reference(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    const T low = static_cast<T>(args.attrs.real(Attr::kMin, -kInfinity));
    const T high = static_cast<T>(args.attrs.real(Attr::kMax, kInfinity));
    const std::int64_t n = args.in[0].elements();
    for (std::int64_t i = 0; i < n; ++i) y[i] = std::min(std::max(x[i], low), high);
  });
}

void clamp_derivative(Adjoint& a) {
  a.set(0,
        clamp_gradient(a.graph, a.output(), a.cotangent(), a.attrs().real(Attr::kMin, -kInfinity),
                       a.attrs().real(Attr::kMax, kInfinity)));
}

ops::Specs infer_gradient(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_floats(in, 2, 2));
  INK_CHECK_OK(expect_bounds(attrs));
  if (in[0].shape != in[1].shape)
    return ops::refuse(in[0], " with a cotangent ", in[1], ": shapes differ");
  return std::vector<TensorSpec>{in[0]};
}

void gradient_reference(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    const T* dy = args.in[1].as<T>();
    T* dx = args.out[0].as<T>();
    const T low = static_cast<T>(args.attrs.real(Attr::kMin, -kInfinity));
    const T high = static_cast<T>(args.attrs.real(Attr::kMax, kInfinity));
    const std::int64_t n = args.in[0].elements();
    for (std::int64_t i = 0; i < n; ++i) dx[i] = x[i] > low && x[i] < high ? dy[i] : T{0};
  });
}

void gradient_derivative(Adjoint& a) {
  if (!a.wanted(1)) return;
  a.set(1,
        clamp_gradient(a.graph, a.input(0), a.cotangent(), a.attrs().real(Attr::kMin, -kInfinity),
                       a.attrs().real(Attr::kMax, kInfinity)));
}

}  // namespace

constinit const OpDef clamp_def{"clamp", infer_clamp, clamp_reference, clamp_derivative, true};
constinit const OpDef clamp_gradient_def{"clamp_gradient", infer_gradient, gradient_reference,
                                         gradient_derivative, true};

ValueId clamp(Graph& g, ValueId x, double low, double high) {
  return g.append(OpKind::kClamp, {x}, {{Attr::kMin, low}, {Attr::kMax, high}});
}

ValueId clamp_gradient(Graph& g, ValueId x, ValueId cotangent, double low, double high) {
  return g.append(OpKind::kClampGradient, {x, cotangent}, {{Attr::kMin, low}, {Attr::kMax, high}});
}

ValueId hard_sigmoid(Graph& g, ValueId x, double slope, double offset) {
  return clamp(g, shift(g, scale(g, x, slope), offset), 0.0, 1.0);
}

ValueId hard_swish(Graph& g, ValueId x) { return mul(g, x, hard_sigmoid(g, x, 1.0 / 6.0, 0.5)); }

}  // namespace inkling
