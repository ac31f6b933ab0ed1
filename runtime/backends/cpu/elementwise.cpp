// Elementwise ops on f32: the data is seen as rows, and each operand either has all of them, is one
// row that repeats, or is one number.

#include "runtime/backends/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/elementwise.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/backends/cpu/bounded-inl.h"
#include "runtime/backends/cpu/lanes-inl.h"

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <typename F>
HWY_INLINE void map(const float* x, float* y, std::int64_t n, const F& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kTag));
  for (std::int64_t i = 0; i < n; i += lanes) {
    const std::int64_t count = std::min(lanes, n - i);
    store_some(f(load_some(x + i, count)), y + i, count);
  }
}

// An operand that is `one` is a single number for all of y.
template <typename F>
HWY_INLINE void zip(const float* a, bool a_one, const float* b, bool b_one, float* y,
                    std::int64_t n, const F& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kTag));
  const auto first = hn::Set(kTag, *a), second = hn::Set(kTag, *b);
  for (std::int64_t i = 0; i < n; i += lanes) {
    const std::int64_t count = std::min(lanes, n - i);
    store_some(f(a_one ? first : load_some(a + i, count), b_one ? second : load_some(b + i, count)),
               y + i, count);
  }
}

// Highway's approximations hold inside a range only; outside it and for NaN these give what the
// function gives.
HWY_INLINE V exp_anywhere(V v) {
  const auto infinity = hn::Set(kTag, static_cast<float>(kInfinity));
  const auto high = hn::IfThenElse(hn::Gt(v, hn::Set(kTag, 88.72283f)), infinity, hn::Exp(kTag, v));
  const auto both = hn::IfThenZeroElse(hn::Lt(v, hn::Set(kTag, -103.97f)), high);
  return hn::IfThenElse(hn::Eq(v, v), both, v);
}

HWY_INLINE V log_anywhere(V v) {
  const auto zero = hn::Zero(kTag), infinity = hn::Set(kTag, static_cast<float>(kInfinity));
  const auto inside = hn::IfThenElse(hn::Lt(v, infinity), hn::Log(kTag, v), v);
  const auto outside =
      hn::IfThenElse(hn::Eq(v, zero), hn::Neg(infinity), hn::Sub(infinity, infinity));
  return hn::IfThenElse(hn::Gt(v, zero), inside, outside);
}

HWY_INLINE V tanh_anywhere(V v) {
  const auto one = hn::Set(kTag, 1.0f);  // from 9.02 on tanh rounds to one
  const auto large = hn::Gt(hn::Abs(v), hn::Set(kTag, 9.02f));
  return hn::IfThenElse(large, hn::CopySign(one, v), hn::Tanh(kTag, v));
}

void unary(OpKind op, const float* x, float* y, std::int64_t n) {
  const auto one = hn::Set(kTag, 1.0f);
  switch (op) {
    case OpKind::kNeg:
      return map(x, y, n, [](auto v) { return hn::Neg(v); });
    case OpKind::kExp:
      return map(x, y, n, [](auto v) { return exp_anywhere(v); });
    case OpKind::kLog:
      return map(x, y, n, [](auto v) { return log_anywhere(v); });
    case OpKind::kSqrt:
      return map(x, y, n, [](auto v) { return hn::Sqrt(v); });
    case OpKind::kTanh:
      return map(x, y, n, [](auto v) { return tanh_anywhere(v); });
    case OpKind::kSigmoid:
      return map(x, y, n,
                 [one](auto v) { return hn::Div(one, hn::Add(one, exp_anywhere(hn::Neg(v)))); });
    default:
      return;
  }
}

void binary(OpKind op, const float* a, bool a_one, const float* b, bool b_one, float* y,
            std::int64_t n) {
  switch (op) {
    case OpKind::kAdd:
      return zip(a, a_one, b, b_one, y, n, [](auto u, auto v) { return hn::Add(u, v); });
    case OpKind::kSub:
      return zip(a, a_one, b, b_one, y, n, [](auto u, auto v) { return hn::Sub(u, v); });
    case OpKind::kMul:
      return zip(a, a_one, b, b_one, y, n, [](auto u, auto v) { return hn::Mul(u, v); });
    case OpKind::kDiv:
      return zip(a, a_one, b, b_one, y, n, [](auto u, auto v) { return hn::Div(u, v); });
    default:
      return;
  }
}

void clamp_all(const float* x, float low, float high, float* y, std::int64_t n) {
  const auto lo = hn::Set(kTag, low), hi = hn::Set(kTag, high);
  map(x, y, n, [lo, hi](auto v) { return bounded(v, lo, hi); });
}

void clamp_gradient_all(const float* x, const float* dy, float low, float high, float* dx,
                        std::int64_t n) {
  const auto lo = hn::Set(kTag, low), hi = hn::Set(kTag, high);
  zip(x, false, dy, false, dx, n, [lo, hi](auto v, auto d) {
    return hn::IfThenElseZero(hn::And(hn::Gt(v, lo), hn::Lt(v, hi)), d);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(unary);
HWY_EXPORT(binary);
HWY_EXPORT(clamp_all);
HWY_EXPORT(clamp_gradient_all);

namespace {

// Cuts [0, n) into chunks.
template <typename Body>
void chunks(const KernelArgs& args, std::int64_t n, double operations, const Body& body) {
  args.pool.parallel_for(
      static_cast<std::size_t>(n), std::max<std::size_t>(grain_for(operations) / 64 * 64, 1024),
      [&](std::size_t begin, std::size_t end, unsigned) {
        body(static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end - begin));
      });
}

template <OpKind kOp>
void run_unary(const KernelArgs& args) {
  chunks(args, args.out[0].elements(), 2.0, [&](std::int64_t begin, std::int64_t n) {
    HWY_DYNAMIC_DISPATCH(unary)
    (kOp, args.in[0].as<float>() + begin, args.out[0].as<float>() + begin, n);
  });
}

// How an operand of the output's shape is read.
enum class Repeat { kNone, kRow, kOne, kOther };

Repeat repeat_of(const Shape& operand, const Shape& out) {
  if (operand == out) return Repeat::kNone;
  if (operand.elements() == 1) return Repeat::kOne;
  const std::int64_t row = operand.elements();
  // The trailing axes of the output, whole, behind axes of size 1.
  std::int64_t tail = 1;
  for (std::size_t i = 0; i < out.rank() && tail < row; ++i) {
    const std::size_t o = out.rank() - 1 - i;
    if (i >= operand.rank() || operand[operand.rank() - 1 - i] != out[o]) return Repeat::kOther;
    tail *= out[o];
  }
  return tail == row ? Repeat::kRow : Repeat::kOther;
}

bool accepts_binary(const NodeSpec& node) {
  if (!all_f32(node)) return false;
  const Repeat a = repeat_of(node.in[0].shape, node.out[0].shape),
               b = repeat_of(node.in[1].shape, node.out[0].shape);
  return a != Repeat::kOther && b != Repeat::kOther && (a == Repeat::kNone || b == Repeat::kNone);
}

template <OpKind kOp>
void run_binary(const KernelArgs& args) {
  const Shape& out = args.out[0].shape();
  const Repeat a = repeat_of(args.in[0].shape(), out), b = repeat_of(args.in[1].shape(), out);
  const float *x = args.in[0].as<float>(), *y = args.in[1].as<float>();
  float* z = args.out[0].as<float>();
  const auto zip_some = HWY_DYNAMIC_DISPATCH(binary);
  if (a != Repeat::kRow && b != Repeat::kRow) {
    chunks(args, out.elements(), 0.5, [&](std::int64_t begin, std::int64_t n) {
      zip_some(kOp, a == Repeat::kOne ? x : x + begin, a == Repeat::kOne,
               b == Repeat::kOne ? y : y + begin, b == Repeat::kOne, z + begin, n);
    });
    return;
  }
  const std::int64_t row = a == Repeat::kRow ? args.in[0].elements() : args.in[1].elements();
  args.pool.parallel_for(
      static_cast<std::size_t>(out.elements() / row), grain_for(static_cast<double>(row) / 2 + 4),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto r = static_cast<std::int64_t>(begin); r < static_cast<std::int64_t>(end); ++r) {
          zip_some(kOp, a == Repeat::kRow ? x : x + r * row, false,
                   b == Repeat::kRow ? y : y + r * row, false, z + r * row, row);
        }
      });
}

float bound(const KernelArgs& args, Attr attr, double fallback) {
  return static_cast<float>(args.attrs.real(attr, fallback));
}

void run_clamp(const KernelArgs& args) {
  const float low = bound(args, Attr::kMin, -kInfinity), high = bound(args, Attr::kMax, kInfinity);
  chunks(args, args.out[0].elements(), 0.5, [&](std::int64_t begin, std::int64_t n) {
    HWY_DYNAMIC_DISPATCH(clamp_all)
    (args.in[0].as<float>() + begin, low, high, args.out[0].as<float>() + begin, n);
  });
}

void run_clamp_gradient(const KernelArgs& args) {
  const float low = bound(args, Attr::kMin, -kInfinity), high = bound(args, Attr::kMax, kInfinity);
  chunks(args, args.out[0].elements(), 0.5, [&](std::int64_t begin, std::int64_t n) {
    HWY_DYNAMIC_DISPATCH(clamp_gradient_all)
    (args.in[0].as<float>() + begin, args.in[1].as<float>() + begin, low, high,
     args.out[0].as<float>() + begin, n);
  });
}

double cost(const NodeSpec& node) {
  return simple_seconds(static_cast<double>(node.out[0].shape.elements()) / 4);
}

template <OpKind kOp>
constexpr Kernel unary_row(const char* name) {
  return {.op = kOp, .name = name, .accepts = all_f32, .cost = cost, .run = run_unary<kOp>};
}
template <OpKind kOp>
constexpr Kernel binary_row(const char* name) {
  return {.op = kOp, .name = name, .accepts = accepts_binary, .cost = cost, .run = run_binary<kOp>};
}

constexpr Kernel kRows[] = {
    unary_row<OpKind::kNeg>("neg_simd"),
    unary_row<OpKind::kExp>("exp_simd"),
    unary_row<OpKind::kLog>("log_simd"),
    unary_row<OpKind::kSqrt>("sqrt_simd"),
    unary_row<OpKind::kTanh>("tanh_simd"),
    unary_row<OpKind::kSigmoid>("sigmoid_simd"),
    binary_row<OpKind::kAdd>("add_simd"),
    binary_row<OpKind::kSub>("sub_simd"),
    binary_row<OpKind::kMul>("mul_simd"),
    binary_row<OpKind::kDiv>("div_simd"),
    {.op = OpKind::kClamp,
     .name = "clamp_simd",
     .accepts = all_f32,
     .cost = cost,
     .run = run_clamp},
    {.op = OpKind::kClampGradient,
     .name = "clamp_gradient_simd",
     .accepts = all_f32,
     .cost = cost,
     .run = run_clamp_gradient},
};

}  // namespace

std::span<const Kernel> elementwise_kernels() { return kRows; }

}  // namespace inkling::cpu
#endif
