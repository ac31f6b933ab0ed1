// Gated recurrent unit over one sequence (Cho et al., EMNLP 2014, with the reset gate after the
// product, as cuDNN and ONNX's linear_before_reset have it):
//
//   gru           x [t, 3d] (input projections, biases included), u [d, 3d], h0 [1, d] -> h [t, d]
//                 z = sigmoid(x_z + h u_z)    r = sigmoid(x_r + h u_r)    c = tanh(x_c + r (h u_c))
//                 h' = z h + (1 - z) c
//   gru_gradient  x, u, h0, h, dh [t, d] -> dx [t, 3d], du [d, 3d], dh0 [1, d]: back through time,
//                 with the gates computed again from h
//
// One node a sequence rather than a dozen a step. gru_gradient is not differentiable: a second
// derivative would write the formula in the vocabulary.

#include <cmath>
#include <vector>

#include "runtime/ops/support.h"

namespace inkling {

namespace {

Result<void> expect_gru(std::span<const TensorSpec> in, std::size_t count) {
  INK_CHECK_OK(ops::expect_floats(in, count, count));
  const Shape &x = in[0].shape, &u = in[1].shape;
  if (x.rank() != 2 || u.rank() != 2 || u[1] != 3 * u[0] || x[1] != u[1] ||
      in[2].shape != Shape{1, u[0]}) {
    return ops::refuse(in[0], ", ", in[1], ", ", in[2], ": expected [t, 3d], [d, 3d], [1, d]");
  }
  for (std::size_t i = 3; i < count; ++i) {
    if (in[i].shape != Shape{x[0], u[0]})
      return ops::refuse(in[i], ": expected [", x[0], ", ", u[0], "]");
  }
  return {};
}

ops::Specs infer_gru(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(expect_gru(in, 3));
  return std::vector<TensorSpec>{{in[0].dtype, Shape{in[0].shape[0], in[1].shape[0]}}};
}

ops::Specs infer_gru_gradient(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(expect_gru(in, 5));
  return std::vector<TensorSpec>{in[0], in[1], in[2]};
}

template <typename T>
T sigmoid_of(T x) {
  return T{1} / (T{1} + std::exp(-x));
}

// One step's gates: z, r, c and the product h u, of which r gates the last third.
template <typename T>
struct Gates {
  explicit Gates(std::int64_t size)
      : d(size), product(static_cast<std::size_t>(3 * size)), values(product.size()) {}

  void compute(const T* x, const T* u, const T* h) {
    std::fill(product.begin(), product.end(), T{0});
    for (std::int64_t i = 0; i < d; ++i)
      for (std::int64_t j = 0; j < 3 * d; ++j) product[at(j)] += h[i] * u[i * 3 * d + j];
    for (std::int64_t j = 0; j < 2 * d; ++j) values[at(j)] = sigmoid_of(x[j] + product[at(j)]);
    for (std::int64_t j = 0; j < d; ++j)
      values[at(2 * d + j)] = std::tanh(x[2 * d + j] + r(j) * product[at(2 * d + j)]);
  }
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  T z(std::int64_t j) const { return values[at(j)]; }
  T r(std::int64_t j) const { return values[at(d + j)]; }
  T c(std::int64_t j) const { return values[at(2 * d + j)]; }
  T candidate_product(std::int64_t j) const { return product[at(2 * d + j)]; }

  std::int64_t d;
  std::vector<T> product, values;
};

void gru_reference(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t steps = args.in[0].shape()[0], d = args.in[1].shape()[0];
    const T *x = args.in[0].as<const T>(), *u = args.in[1].as<const T>();
    T* out = args.out[0].as<T>();
    const T* h = args.in[2].as<const T>();
    Gates<T> gates(d);
    for (std::int64_t t = 0; t < steps; ++t) {
      gates.compute(x + t * 3 * d, u, h);
      T* next = out + t * d;
      for (std::int64_t j = 0; j < d; ++j)
        next[j] = gates.z(j) * h[j] + (T{1} - gates.z(j)) * gates.c(j);
      h = next;
    }
  });
}

void gru_gradient_reference(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t steps = args.in[0].shape()[0], d = args.in[1].shape()[0];
    const T *x = args.in[0].as<const T>(), *u = args.in[1].as<const T>(),
            *h0 = args.in[2].as<const T>(), *h = args.in[3].as<const T>(),
            *dh = args.in[4].as<const T>();
    T *dx = args.out[0].as<T>(), *du = args.out[1].as<T>(), *carry = args.out[2].as<T>();
    std::fill(du, du + 3 * d * d, T{0});
    std::fill(carry, carry + d, T{0});  // dL/dh of the step behind; in the end dL/dh0
    Gates<T> gates(d);
    std::vector<T> down(static_cast<std::size_t>(3 * d));  // dL/d(h u)
    for (std::int64_t t = steps; t-- > 0;) {
      const T* before = t > 0 ? h + (t - 1) * d : h0;
      gates.compute(x + t * 3 * d, u, before);
      T* dxt = dx + t * 3 * d;
      for (std::int64_t j = 0; j < d; ++j) {
        const T z = gates.z(j), r = gates.r(j), c = gates.c(j), total = dh[t * d + j] + carry[j];
        const T dc = total * (T{1} - z) * (T{1} - c * c);
        dxt[j] = total * (before[j] - c) * z * (T{1} - z);
        dxt[d + j] = dc * gates.candidate_product(j) * r * (T{1} - r);
        dxt[2 * d + j] = dc;
        down[gates.at(j)] = dxt[j];
        down[gates.at(d + j)] = dxt[d + j];
        down[gates.at(2 * d + j)] = dc * r;
        carry[j] = total * z;
      }
      for (std::int64_t i = 0; i < d; ++i) {
        T back{0};
        for (std::int64_t j = 0; j < 3 * d; ++j) {
          du[i * 3 * d + j] += before[i] * down[gates.at(j)];
          back += u[i * 3 * d + j] * down[gates.at(j)];
        }
        carry[i] += back;
      }
    }
  });
}

void gru_derivative(Adjoint& a) {
  const ValueId first = a.graph.append(
      OpKind::kGruGradient, {a.input(0), a.input(1), a.input(2), a.output(), a.cotangent()});
  for (std::uint32_t i = 0; i < 3; ++i) a.set(i, Graph::result_of(first, i));
}

}  // namespace

constinit const OpDef gru_def{"gru", infer_gru, gru_reference, gru_derivative};
constinit const OpDef gru_gradient_def{"gru_gradient", infer_gru_gradient, gru_gradient_reference,
                                       nullptr};

ValueId gru(Graph& g, ValueId x, ValueId u, ValueId h0) {
  return g.append(OpKind::kGru, {x, u, h0});
}

}  // namespace inkling
