// gru and gru_gradient (runtime/ops/recurrent.cpp has the formulas): a step's product with the
// state and its gates in vectors, in scratch memory.

#include "runtime/backends/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/recurrent.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
constexpr hn::CappedTag<float, 16> kTag;
using V = hn::Vec<decltype(kTag)>;

// Highway's approximations hold inside these bounds; at them both functions have rounded to their
// limits. NaN stays NaN.
HWY_INLINE V clamped(V v, float bound) {
  return hn::Min(hn::Max(v, hn::Set(kTag, -bound)), hn::Set(kTag, bound));
}

// values[i] = f(values[i]) for whole vectors: the room behind the last one is scratch too.
template <typename F>
HWY_INLINE void in_place(float* values, std::int64_t n, const F& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kTag));
  for (std::int64_t i = 0; i < n; i += lanes)
    hn::StoreU(f(hn::LoadU(kTag, values + i)), kTag, values + i);
}

void gates(const float* x, const float* u, const float* h, float* product, float* zr, float* c,
           std::int64_t d) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kTag));
  std::int64_t j = 0;
  for (; j + lanes <= 3 * d; j += lanes) {
    V sum = hn::Zero(kTag);
    for (std::int64_t i = 0; i < d; ++i)
      sum = hn::MulAdd(hn::Set(kTag, h[i]), hn::LoadU(kTag, u + i * 3 * d + j), sum);
    hn::StoreU(sum, kTag, product + j);
  }
  for (; j < 3 * d; ++j) {
    product[j] = 0;
    for (std::int64_t i = 0; i < d; ++i) product[j] += h[i] * u[i * 3 * d + j];
  }
  const V one = hn::Set(kTag, 1.0f);
  for (j = 0; j < 2 * d; ++j) zr[j] = x[j] + product[j];
  in_place(zr, 2 * d, [one](V v) {
    const V s = hn::Div(one, hn::Add(one, hn::Exp(kTag, hn::Neg(clamped(v, 80.0f)))));
    return hn::IfThenElse(hn::Eq(v, v), s, v);
  });
  for (j = 0; j < d; ++j) c[j] = x[2 * d + j] + zr[d + j] * product[2 * d + j];
  in_place(c, d,
           [](V v) { return hn::IfThenElse(hn::Eq(v, v), hn::Tanh(kTag, clamped(v, 9.02f)), v); });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(gates);

namespace {

// Where a step's numbers are in the scratch memory.
struct Step {
  Step(std::byte* scratch, std::int64_t size)
      : d(size),
        product(reinterpret_cast<float*>(scratch)),
        zr(product + aligned_floats(3 * d)),
        c(zr + aligned_floats(2 * d)),
        down(c + aligned_floats(d)) {}
  static std::size_t bytes(std::int64_t d, bool gradient) {
    return sizeof(float) * (aligned_floats(3 * d) + aligned_floats(2 * d) + aligned_floats(d) +
                            (gradient ? aligned_floats(3 * d) : 0));
  }
  std::int64_t d;
  float *product, *zr, *c, *down;
};

void gru_run(const KernelArgs& args) {
  const auto compute = HWY_DYNAMIC_DISPATCH(gates);
  const std::int64_t steps = args.in[0].shape()[0], d = args.in[1].shape()[0];
  const float *x = args.in[0].as<const float>(), *u = args.in[1].as<const float>(),
              *h = args.in[2].as<const float>();
  const Step s(args.scratch, d);
  for (std::int64_t t = 0; t < steps; ++t) {
    compute(x + t * 3 * d, u, h, s.product, s.zr, s.c, d);
    float* next = args.out[0].as<float>() + t * d;
    for (std::int64_t j = 0; j < d; ++j) next[j] = s.zr[j] * h[j] + (1 - s.zr[j]) * s.c[j];
    h = next;
  }
}

void gru_gradient_run(const KernelArgs& args) {
  const auto compute = HWY_DYNAMIC_DISPATCH(gates);
  const std::int64_t steps = args.in[0].shape()[0], d = args.in[1].shape()[0];
  const float *x = args.in[0].as<const float>(), *u = args.in[1].as<const float>(),
              *h0 = args.in[2].as<const float>(), *h = args.in[3].as<const float>(),
              *dh = args.in[4].as<const float>();
  float *dx = args.out[0].as<float>(), *du = args.out[1].as<float>(),
        *carry = args.out[2].as<float>();
  std::fill(du, du + 3 * d * d, 0.0f);
  std::fill(carry, carry + d, 0.0f);
  const Step s(args.scratch, d);
  for (std::int64_t t = steps; t-- > 0;) {
    const float* before = t > 0 ? h + (t - 1) * d : h0;
    compute(x + t * 3 * d, u, before, s.product, s.zr, s.c, d);
    float* dxt = dx + t * 3 * d;
    for (std::int64_t j = 0; j < d; ++j) {
      const float z = s.zr[j], r = s.zr[d + j], c = s.c[j], total = dh[t * d + j] + carry[j];
      const float dc = total * (1 - z) * (1 - c * c);
      s.down[j] = dxt[j] = total * (before[j] - c) * z * (1 - z);
      s.down[d + j] = dxt[d + j] = dc * s.product[2 * d + j] * r * (1 - r);
      dxt[2 * d + j] = dc;
      s.down[2 * d + j] = dc * r;
      carry[j] = total * z;
    }
    for (std::int64_t i = 0; i < d; ++i) {
      float back = 0;
      for (std::int64_t j = 0; j < 3 * d; ++j) {
        du[i * 3 * d + j] += before[i] * s.down[j];
        back += u[i * 3 * d + j] * s.down[j];
      }
      carry[i] += back;
    }
  }
}

double cost(const NodeSpec& node) {
  const auto d = static_cast<double>(node.in[1].shape[0]);
  return gemm_seconds(static_cast<double>(node.in[0].shape[0]) * 3 * d * d);
}

template <bool kGradient>
std::size_t scratch(const NodeSpec& node) {
  return Step::bytes(node.in[1].shape[0], kGradient);
}

constexpr Kernel kRows[] = {
    {.op = OpKind::kGru,
     .name = "gru_vectors",
     .accepts = all_f32,
     .cost = cost,
     .run = gru_run,
     .scratch_bytes = scratch<false>},
    {.op = OpKind::kGruGradient,
     .name = "gru_gradient_vectors",
     .accepts = all_f32,
     .cost = cost,
     .run = gru_gradient_run,
     .scratch_bytes = scratch<true>},
};

}  // namespace

std::span<const Kernel> recurrent_kernels() { return kRows; }

}  // namespace inkling::cpu
#endif
