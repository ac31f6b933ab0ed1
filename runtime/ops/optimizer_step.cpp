// The update rules of optimizers, as ops: each gives the new weights and moments, which the graph
// then names as the updates of those variables, so that the planner may write them in place.
//
//   sgd_step   v' = momentum v + g + decay w;                        w' = w - rate v'
//   adam_step  m' = b1 m + (1 - b1) g;  v' = b2 v + (1 - b2) g^2
//              w' = w - rate (m' / (1 - b1^t) / (sqrt(v' / (1 - b2^t)) + epsilon) + decay w)
//   (Kingma & Ba, ICLR 2015, algorithm 1; decoupled decay after Loshchilov & Hutter, ICLR 2019.)
//
// They are not differentiable: a learned optimizer would write the formula in the vocabulary.

#include <cmath>

#include "runtime/ops/support.h"

namespace inkling {

namespace {

Result<void> expect_step(std::span<const TensorSpec> in, std::size_t tensors, std::size_t scalars) {
  INK_CHECK_OK(ops::expect_floats(in, tensors + scalars, tensors + scalars));
  for (std::size_t i = 1; i < tensors; ++i) {
    if (in[i].shape != in[0].shape)
      return ops::refuse("weights ", in[0], " with ", in[i], ": shapes differ");
  }
  for (std::size_t i = tensors; i < in.size(); ++i) {
    if (in[i].shape.elements() != 1) return ops::refuse(in[i], ": expected a scalar");
  }
  return {};
}

ops::Specs infer_sgd(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(expect_step(in, 3, 1));
  return std::vector<TensorSpec>{in[0], in[0]};
}

void sgd_reference(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T momentum = static_cast<T>(args.attrs.real(Attr::kMomentum));
    const T decay = static_cast<T>(args.attrs.real(Attr::kWeightDecay));
    const T *w = args.in[0].as<T>(), *g = args.in[1].as<T>(), *v = args.in[2].as<T>();
    const T rate = *args.in[3].as<T>();
    for (std::int64_t i = 0; i < args.in[0].elements(); ++i) {
      const T velocity = momentum * v[i] + g[i] + decay * w[i];
      args.out[0].as<T>()[i] = w[i] - rate * velocity;
      args.out[1].as<T>()[i] = velocity;
    }
  });
}

ops::Specs infer_adam(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(expect_step(in, 4, 2));
  return std::vector<TensorSpec>{in[0], in[0], in[0]};
}

void adam_reference(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T b1 = static_cast<T>(args.attrs.real(Attr::kBeta1)),
            b2 = static_cast<T>(args.attrs.real(Attr::kBeta2));
    const T epsilon = static_cast<T>(args.attrs.real(Attr::kEpsilon)),
            decay = static_cast<T>(args.attrs.real(Attr::kWeightDecay));
    const T *w = args.in[0].as<T>(), *g = args.in[1].as<T>(), *m = args.in[2].as<T>(),
            *v = args.in[3].as<T>();
    const T rate = *args.in[4].as<T>(), step = *args.in[5].as<T>();
    const T m_scale = T{1} / (T{1} - std::pow(b1, step)),
            v_scale = T{1} / (T{1} - std::pow(b2, step));
    for (std::int64_t i = 0; i < args.in[0].elements(); ++i) {
      const T first = b1 * m[i] + (T{1} - b1) * g[i];
      const T second = b2 * v[i] + (T{1} - b2) * g[i] * g[i];
      args.out[0].as<T>()[i] =
          w[i] - rate * (first * m_scale / (std::sqrt(second * v_scale) + epsilon) + decay * w[i]);
      args.out[1].as<T>()[i] = first;
      args.out[2].as<T>()[i] = second;
    }
  });
}

}  // namespace

constinit const OpDef sgd_step_def{"sgd_step", infer_sgd, sgd_reference, nullptr, true};
constinit const OpDef adam_step_def{"adam_step", infer_adam, adam_reference, nullptr, true};

SgdStep sgd_step(Graph& g, ValueId weights, ValueId gradient, ValueId velocity, ValueId rate,
                 double momentum, double weight_decay) {
  const ValueId first = g.append(OpKind::kSgdStep, {weights, gradient, velocity, rate},
                                 {{Attr::kMomentum, momentum}, {Attr::kWeightDecay, weight_decay}});
  return {first, Graph::result_of(first, 1)};
}

AdamStep adam_step(Graph& g, ValueId weights, ValueId gradient, ValueId first_moment,
                   ValueId second_moment, ValueId rate, ValueId step, double beta1, double beta2,
                   double epsilon, double weight_decay) {
  const ValueId first =
      g.append(OpKind::kAdamStep, {weights, gradient, first_moment, second_moment, rate, step},
               {{Attr::kBeta1, beta1},
                {Attr::kBeta2, beta2},
                {Attr::kEpsilon, epsilon},
                {Attr::kWeightDecay, weight_decay}});
  return {first, Graph::result_of(first, 1), Graph::result_of(first, 2)};
}

}  // namespace inkling
