// The steps of optimizers on f32: each weight by itself, so the data is one long row.

#include <cmath>

#include "runtime/backends/cpu/cpu.h"

#ifndef INKLING_CPU_STEP_RATES
#define INKLING_CPU_STEP_RATES
namespace inkling::cpu {
// What a step reads and writes, from its first weight on, and its numbers; this file is compiled
// once an instruction set, the structs only once.
struct StepRows {
  const float *w, *g, *a, *b;  // weights, gradient, first and second moment (null: none)
  float *w_out, *a_out, *b_out;
};
struct SgdRates {
  float rate, momentum, decay;
  bool nesterov;
};
struct AdamRates {
  float b1, b2, epsilon, decay, rate, m_scale, v_scale;
};
struct ScaledRates {
  float rate, keep, take, epsilon, decay;
};
struct FtrlRates {
  float rate, beta, l1, l2;
};
}  // namespace inkling::cpu
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/optimizer_step.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/backends/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE V set(float x) { return hn::Set(kTag, x); }

// body(i, count) for each vector of n floats.
template <typename Body>
HWY_INLINE void each_vector(std::int64_t n, const Body& body) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kTag));
  for (std::int64_t i = 0; i < n; i += lanes) body(i, std::min(lanes, n - i));
}

void sgd_all(const StepRows& p, const SgdRates& r, std::int64_t n) {
  each_vector(n, [&](std::int64_t i, std::int64_t count) {
    const auto weights = load_some(p.w + i, count);
    const auto gradient = hn::MulAdd(set(r.decay), weights, load_some(p.g + i, count));
    auto move = gradient;
    if (p.a) {
      const auto velocity = hn::MulAdd(set(r.momentum), load_some(p.a + i, count), gradient);
      store_some(velocity, p.a_out + i, count);
      move = r.nesterov ? hn::MulAdd(set(r.momentum), velocity, gradient) : velocity;
    }
    store_some(hn::NegMulAdd(set(r.rate), move, weights), p.w_out + i, count);
  });
}

void adam_all(const StepRows& p, const AdamRates& r, std::int64_t n) {
  each_vector(n, [&](std::int64_t i, std::int64_t count) {
    const auto weights = load_some(p.w + i, count), gradient = load_some(p.g + i, count);
    const auto first =
        hn::MulAdd(set(r.b1), load_some(p.a + i, count), hn::Mul(set(1 - r.b1), gradient));
    const auto second = hn::MulAdd(set(r.b2), load_some(p.b + i, count),
                                   hn::Mul(set(1 - r.b2), hn::Mul(gradient, gradient)));
    const auto scale = hn::Add(hn::Sqrt(hn::Mul(second, set(r.v_scale))), set(r.epsilon));
    const auto move =
        hn::MulAdd(set(r.decay), weights, hn::Div(hn::Mul(first, set(r.m_scale)), scale));
    store_some(hn::NegMulAdd(set(r.rate), move, weights), p.w_out + i, count);
    store_some(first, p.a_out + i, count);
    store_some(second, p.b_out + i, count);
  });
}

void scaled_all(const StepRows& p, const ScaledRates& r, std::int64_t n) {
  each_vector(n, [&](std::int64_t i, std::int64_t count) {
    const auto weights = load_some(p.w + i, count);
    const auto gradient = hn::MulAdd(set(r.decay), weights, load_some(p.g + i, count));
    const auto squares = hn::MulAdd(set(r.keep), load_some(p.a + i, count),
                                    hn::Mul(set(r.take), hn::Mul(gradient, gradient)));
    const auto move = hn::Div(gradient, hn::Add(hn::Sqrt(squares), set(r.epsilon)));
    store_some(hn::NegMulAdd(set(r.rate), move, weights), p.w_out + i, count);
    store_some(squares, p.a_out + i, count);
  });
}

// The rate is positive.
void ftrl_all(const StepRows& p, const FtrlRates& r, std::int64_t n) {
  const auto inverse = set(1.0f / r.rate), l1 = set(r.l1);
  each_vector(n, [&](std::int64_t i, std::int64_t count) {
    const auto weights = load_some(p.w + i, count), gradient = load_some(p.g + i, count);
    const auto before = load_some(p.b + i, count);
    const auto squares = hn::MulAdd(gradient, gradient, before);
    const auto root = hn::Sqrt(squares);
    const auto sigma = hn::Mul(hn::Sub(root, hn::Sqrt(before)), inverse);
    const auto sum = hn::NegMulAdd(sigma, weights, hn::Add(load_some(p.a + i, count), gradient));
    const auto excess =
        hn::IfThenZeroElse(hn::Le(hn::Abs(sum), l1), hn::Sub(hn::CopySignToAbs(l1, sum), sum));
    const auto scale = hn::MulAdd(hn::Add(set(r.beta), root), inverse, set(r.l2));
    const auto unseen = hn::Eq(squares, hn::Zero(kTag));
    store_some(hn::IfThenElse(unseen, weights, hn::Div(excess, scale)), p.w_out + i, count);
    store_some(sum, p.a_out + i, count);
    store_some(squares, p.b_out + i, count);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(sgd_all);
HWY_EXPORT(adam_all);
HWY_EXPORT(scaled_all);
HWY_EXPORT(ftrl_all);

namespace {

float number(const KernelArgs& args, Attr attr) {
  return static_cast<float>(args.attrs.real(attr));
}

// Cuts the weights into chunks, and gives each with the moments beside it.
template <typename Body>
void chunks(const KernelArgs& args, std::size_t moments, double operations, const Body& body) {
  const auto in = [&](std::size_t i, std::size_t begin) {
    return i < moments + 2 ? args.in[i].as<float>() + begin : nullptr;
  };
  const auto out = [&](std::size_t i, std::size_t begin) {
    return i < moments + 1 ? args.out[i].as<float>() + begin : nullptr;
  };
  args.pool.parallel_for(static_cast<std::size_t>(args.out[0].elements()),
                         std::max<std::size_t>(grain_for(operations) / 64 * 64, 1024),
                         [&](std::size_t begin, std::size_t end, unsigned) {
                           body(StepRows{in(0, begin), in(1, begin), in(2, begin), in(3, begin),
                                         out(0, begin), out(1, begin), out(2, begin)},
                                static_cast<std::int64_t>(end - begin));
                         });
}

void run_sgd(const KernelArgs& args) {
  const bool has_velocity = args.in.size() == 4;
  const SgdRates rates{*args.in[has_velocity ? 3 : 2].as<float>(), number(args, Attr::kMomentum),
                       number(args, Attr::kWeightDecay), args.attrs.integer(Attr::kMode) == 1};
  chunks(args, has_velocity ? 1 : 0, 1.0, [&](const StepRows& rows, std::int64_t n) {
    HWY_DYNAMIC_DISPATCH(sgd_all)(rows, rates, n);
  });
}

void run_adam(const KernelArgs& args) {
  const float b1 = number(args, Attr::kBeta1), b2 = number(args, Attr::kBeta2),
              step = *args.in[5].as<float>();
  const AdamRates rates{b1,
                        b2,
                        number(args, Attr::kEpsilon),
                        number(args, Attr::kWeightDecay),
                        *args.in[4].as<float>(),
                        1.0f / (1.0f - std::pow(b1, step)),
                        1.0f / (1.0f - std::pow(b2, step))};
  chunks(args, 2, 3.0, [&](const StepRows& rows, std::int64_t n) {
    HWY_DYNAMIC_DISPATCH(adam_all)(rows, rates, n);
  });
}

// kMean: a running mean of the squares, else their sum.
template <bool kMean>
void run_scaled(const KernelArgs& args) {
  const float keep = kMean ? number(args, Attr::kBeta2) : 1.0f;
  const ScaledRates rates{*args.in[3].as<float>(), keep, kMean ? 1 - keep : 1.0f,
                          number(args, Attr::kEpsilon), number(args, Attr::kWeightDecay)};
  chunks(args, 1, 2.0, [&](const StepRows& rows, std::int64_t n) {
    HWY_DYNAMIC_DISPATCH(scaled_all)(rows, rates, n);
  });
}

void run_ftrl(const KernelArgs& args) {
  const FtrlRates rates{*args.in[4].as<float>(), number(args, Attr::kBeta), number(args, Attr::kL1),
                        number(args, Attr::kL2)};
  chunks(args, 2, 3.0, [&](const StepRows& rows, std::int64_t n) {
    if (rates.rate > 0) {
      HWY_DYNAMIC_DISPATCH(ftrl_all)(rows, rates, n);
      return;
    }
    // In place, source and destination are the same.
    const auto keep = [n](const float* from, float* to) {
      if (from != to) std::copy_n(from, n, to);
    };
    keep(rows.w, rows.w_out);
    keep(rows.a, rows.a_out);
    keep(rows.b, rows.b_out);
  });
}

double cost(const NodeSpec& node) {
  return simple_seconds(static_cast<double>(node.out[0].shape.elements()) / 4);
}

constexpr Kernel row(OpKind op, const char* name, void (*run)(const KernelArgs&)) {
  return {.op = op, .name = name, .accepts = all_f32, .cost = cost, .run = run};
}

constexpr Kernel kRows[] = {
    row(OpKind::kSgdStep, "sgd_step_simd", run_sgd),
    row(OpKind::kAdamStep, "adam_step_simd", run_adam),
    row(OpKind::kAdagradStep, "adagrad_step_simd", run_scaled<false>),
    row(OpKind::kRmspropStep, "rmsprop_step_simd", run_scaled<true>),
    row(OpKind::kFtrlStep, "ftrl_step_simd", run_ftrl),
};

}  // namespace

std::span<const Kernel> optimizer_step_kernels() { return kRows; }

}  // namespace inkling::cpu
#endif
