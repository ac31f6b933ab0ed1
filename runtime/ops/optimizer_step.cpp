// The update rules of optimizers, as ops: each gives the new weights and moments, which the graph
// then names as the updates of those variables, so that the planner may write them in place.
//
//   sgd_step      g' = g + decay w;  v' = momentum v + g';  w' = w - rate v'
//                 mode 1: w' = w - rate (g' + momentum v')
//                 (Nesterov's gradient as Sutskever et al., ICML 2013, section 2, write it, at the
//                 point that the momentum leads to; without momentum v may be left out)
//   adam_step     m' = b1 m + (1 - b1) g;  v' = b2 v + (1 - b2) g^2
//                 w' = w - rate (m' / (1 - b1^t) / (sqrt(v' / (1 - b2^t)) + epsilon) + decay w)
//                 (Kingma & Ba, ICLR 2015, algorithm 1; decoupled decay after Loshchilov & Hutter,
//                 ICLR 2019)
//   adagrad_step  g' = g + decay w;  s' = s + g'^2;  w' = w - rate g' / (sqrt(s') + epsilon)
//                 (Duchi, Hazan & Singer, JMLR 12, 2011, the diagonal case)
//   rmsprop_step  g' = g + decay w;  s' = b2 s + (1 - b2) g'^2;  w' = w - rate g' / (sqrt(s') +
//                 epsilon)  (Hinton, Coursera lecture 6e, 2012)
//   ftrl_step     n' = n + g^2;  z' = z + g - (sqrt(n') - sqrt(n)) / rate w
//                 w' = 0 where |z'| <= l1, else (sign(z') l1 - z') / ((beta + sqrt(n')) / rate +
//                 l2) (FTRL-Proximal: McMahan et al., KDD 2013, algorithm 1; w stays while n' = 0,
//                 and everything at rate 0)
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

ops::Specs infer_sgd(std::span<const TensorSpec> in, const Attrs& attrs) {
  const bool velocity = in.size() != 3;
  INK_CHECK_OK(expect_step(in, velocity ? 3 : 2, 1));
  if (!velocity && attrs.real(Attr::kMomentum) != 0)
    return ops::refuse("momentum ", attrs.real(Attr::kMomentum), " without a velocity");
  return std::vector<TensorSpec>(velocity ? 2 : 1, in[0]);
}

void sgd_reference(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const bool has_velocity = args.in.size() == 4;
    const bool nesterov = args.attrs.integer(Attr::kMode) == 1;
    const T momentum = static_cast<T>(args.attrs.real(Attr::kMomentum));
    const T decay = static_cast<T>(args.attrs.real(Attr::kWeightDecay));
    const T *w = args.in[0].as<T>(), *g = args.in[1].as<T>();
    const T rate = *args.in[has_velocity ? 3 : 2].as<T>();
    for (std::int64_t i = 0; i < args.in[0].elements(); ++i) {
      const T gradient = g[i] + decay * w[i];
      T move = gradient;
      if (has_velocity) {
        const T velocity = momentum * args.in[2].as<T>()[i] + gradient;
        args.out[1].as<T>()[i] = velocity;
        move = nesterov ? gradient + momentum * velocity : velocity;
      }
      args.out[0].as<T>()[i] = w[i] - rate * move;
    }
  });
}

ops::Specs infer_adam(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(expect_step(in, 4, 2));
  return std::vector<TensorSpec>(3, in[0]);
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

ops::Specs infer_scaled(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(expect_step(in, 3, 1));
  return std::vector<TensorSpec>(2, in[0]);
}

// keep s + take g^2: 1 and 1 for adagrad.
template <bool kMean>
void scaled_reference(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T keep = kMean ? static_cast<T>(args.attrs.real(Attr::kBeta2)) : T{1};
    const T take = kMean ? T{1} - keep : T{1};
    const T epsilon = static_cast<T>(args.attrs.real(Attr::kEpsilon)),
            decay = static_cast<T>(args.attrs.real(Attr::kWeightDecay));
    const T *w = args.in[0].as<T>(), *g = args.in[1].as<T>(), *s = args.in[2].as<T>();
    const T rate = *args.in[3].as<T>();
    for (std::int64_t i = 0; i < args.in[0].elements(); ++i) {
      const T gradient = g[i] + decay * w[i];
      const T squares = keep * s[i] + take * gradient * gradient;
      args.out[0].as<T>()[i] = w[i] - rate * gradient / (std::sqrt(squares) + epsilon);
      args.out[1].as<T>()[i] = squares;
    }
  });
}

ops::Specs infer_ftrl(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(expect_step(in, 4, 1));
  return std::vector<TensorSpec>(3, in[0]);
}

void ftrl_reference(const KernelArgs& args) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T beta = static_cast<T>(args.attrs.real(Attr::kBeta));
    const T l1 = static_cast<T>(args.attrs.real(Attr::kL1)),
            l2 = static_cast<T>(args.attrs.real(Attr::kL2));
    const T *w = args.in[0].as<T>(), *g = args.in[1].as<T>(), *z = args.in[2].as<T>(),
            *n = args.in[3].as<T>();
    const T rate = *args.in[4].as<T>();
    for (std::int64_t i = 0; i < args.in[0].elements(); ++i) {
      T weight = w[i], sum = z[i], squares = n[i];
      if (rate > 0) {
        squares += g[i] * g[i];
        sum += g[i] - (std::sqrt(squares) - std::sqrt(n[i])) / rate * weight;
        const T excess = std::abs(sum) <= l1 ? T{0} : std::copysign(l1, sum) - sum;
        if (squares != 0) weight = excess / ((beta + std::sqrt(squares)) / rate + l2);
      }
      args.out[0].as<T>()[i] = weight;
      args.out[1].as<T>()[i] = sum;
      args.out[2].as<T>()[i] = squares;
    }
  });
}

}  // namespace

constinit const OpDef sgd_step_def{"sgd_step", infer_sgd, sgd_reference, nullptr, true};
constinit const OpDef adam_step_def{"adam_step", infer_adam, adam_reference, nullptr, true};
constinit const OpDef adagrad_step_def{"adagrad_step", infer_scaled, scaled_reference<false>,
                                       nullptr, true};
constinit const OpDef rmsprop_step_def{"rmsprop_step", infer_scaled, scaled_reference<true>,
                                       nullptr, true};
constinit const OpDef ftrl_step_def{"ftrl_step", infer_ftrl, ftrl_reference, nullptr, true};

SgdStep sgd_step(Graph& g, ValueId weights, ValueId gradient, ValueId velocity, ValueId rate,
                 double momentum, double weight_decay, bool nesterov) {
  Attrs attrs{{Attr::kMomentum, momentum}, {Attr::kWeightDecay, weight_decay}};
  if (velocity == kNoValue)
    return {g.append(OpKind::kSgdStep, {weights, gradient, rate}, std::move(attrs)), kNoValue};
  if (nesterov) attrs.set(Attr::kMode, std::int64_t{1});
  const ValueId first =
      g.append(OpKind::kSgdStep, {weights, gradient, velocity, rate}, std::move(attrs));
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

ScaledStep adagrad_step(Graph& g, ValueId weights, ValueId gradient, ValueId squares, ValueId rate,
                        double epsilon, double weight_decay) {
  const ValueId first = g.append(OpKind::kAdagradStep, {weights, gradient, squares, rate},
                                 {{Attr::kEpsilon, epsilon}, {Attr::kWeightDecay, weight_decay}});
  return {first, Graph::result_of(first, 1)};
}

ScaledStep rmsprop_step(Graph& g, ValueId weights, ValueId gradient, ValueId squares, ValueId rate,
                        double smoothing, double epsilon, double weight_decay) {
  const ValueId first = g.append(
      OpKind::kRmspropStep, {weights, gradient, squares, rate},
      {{Attr::kBeta2, smoothing}, {Attr::kEpsilon, epsilon}, {Attr::kWeightDecay, weight_decay}});
  return {first, Graph::result_of(first, 1)};
}

FtrlStep ftrl_step(Graph& g, ValueId weights, ValueId gradient, ValueId sums, ValueId squares,
                   ValueId rate, double beta, double l1, double l2) {
  const ValueId first = g.append(OpKind::kFtrlStep, {weights, gradient, sums, squares, rate},
                                 {{Attr::kBeta, beta}, {Attr::kL1, l1}, {Attr::kL2, l2}});
  return {first, Graph::result_of(first, 1), Graph::result_of(first, 2)};
}

}  // namespace inkling
