// Elementwise ops on f32: the data is seen as rows, along which an operand either has all numbers
// or is one that repeats.

#include <array>

#include "runtime/backends/cpu/cpu.h"

#ifndef INKLING_CPU_ELEMENTWISE
#define INKLING_CPU_ELEMENTWISE
namespace inkling::cpu {
// An operand of some rows: how far apart they are, and whether each is a single number.
struct Operand {
  const float* from;
  std::int64_t row;
  bool one;
};
}  // namespace inkling::cpu
#endif

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

template <typename F>
HWY_INLINE void zip(Operand a, Operand b, float* y, std::int64_t rows, std::int64_t n, const F& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kTag));
  for (std::int64_t r = 0; r < rows; ++r, a.from += a.row, b.from += b.row, y += n) {
    const auto first = hn::Set(kTag, *a.from), second = hn::Set(kTag, *b.from);
    for (std::int64_t i = 0; i < n; i += lanes) {
      const std::int64_t count = std::min(lanes, n - i);
      store_some(f(a.one ? first : load_some(a.from + i, count),
                   b.one ? second : load_some(b.from + i, count)),
                 y + i, count);
    }
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

void binary_rows(OpKind op, const Operand& a, const Operand& b, float* y, std::int64_t rows,
                 std::int64_t n) {
  switch (op) {
    case OpKind::kAdd:
      return zip(a, b, y, rows, n, [](auto u, auto v) { return hn::Add(u, v); });
    case OpKind::kSub:
      return zip(a, b, y, rows, n, [](auto u, auto v) { return hn::Sub(u, v); });
    case OpKind::kMul:
      return zip(a, b, y, rows, n, [](auto u, auto v) { return hn::Mul(u, v); });
    case OpKind::kDiv:
      return zip(a, b, y, rows, n, [](auto u, auto v) { return hn::Div(u, v); });
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
  zip({x, 0, false}, {dy, 0, false}, dx, 1, n, [lo, hi](auto v, auto d) {
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
HWY_EXPORT(binary_rows);
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

// The output as axes that no operand tells apart, the last two of them as rows; and how far each
// operand moves along them, 0 where it is repeated.
struct Walk {
  struct Axis {
    std::int64_t size = 1, a = 0, b = 0;
  };
  std::array<Axis, kRankMax + 2> axes;  // the outermost first
  std::size_t count = 0;

  const Axis& row() const { return axes[count - 2]; }
  const Axis& inner() const { return axes[count - 1]; }
  std::int64_t outer() const {
    std::int64_t product = 1;
    for (std::size_t i = 0; i + 2 < count; ++i) product *= axes[i].size;
    return product;
  }
};

// Axes that both operands go through as if they were one become one.
Walk walk_of(const Shape& a, const Shape& b, const Shape& out) {
  const auto step = [](const Shape& s, std::size_t from_end, std::int64_t stride) {
    return from_end < s.rank() && s[s.rank() - 1 - from_end] != 1 ? stride : 0;
  };
  const auto size = [](const Shape& s, std::size_t from_end) {
    return from_end < s.rank() ? s[s.rank() - 1 - from_end] : 1;
  };
  std::array<Walk::Axis, kRankMax> found;  // the innermost first
  std::size_t count = 0;
  std::int64_t a_stride = 1, b_stride = 1;
  for (std::size_t i = 0; i < out.rank(); ++i) {
    const Walk::Axis axis{size(out, i), step(a, i, a_stride), step(b, i, b_stride)};
    a_stride *= size(a, i);
    b_stride *= size(b, i);
    if (axis.size == 1) continue;
    Walk::Axis* last = count > 0 ? &found[count - 1] : nullptr;
    if (last && axis.a == last->a * last->size && axis.b == last->b * last->size) {
      last->size *= axis.size;
    } else {
      found[count++] = axis;
    }
  }
  Walk walk;
  while (walk.count + count < 2) walk.axes[walk.count++] = {};
  while (count > 0) walk.axes[walk.count++] = found[--count];
  return walk;
}

template <OpKind kOp>
void run_binary(const KernelArgs& args) {
  if (args.out[0].elements() == 0) return;
  const Walk walk = walk_of(args.in[0].shape(), args.in[1].shape(), args.out[0].shape());
  const float *x = args.in[0].as<float>(), *y = args.in[1].as<float>();
  float* z = args.out[0].as<float>();
  const auto zip_rows = HWY_DYNAMIC_DISPATCH(binary_rows);
  const Walk::Axis row = walk.row(), inner = walk.inner();
  if (row.size == 1 && walk.outer() == 1) {
    chunks(args, inner.size, 0.5, [&](std::int64_t begin, std::int64_t n) {
      zip_rows(kOp, {x + begin * inner.a, 0, inner.a == 0}, {y + begin * inner.b, 0, inner.b == 0},
               z + begin, 1, n);
    });
    return;
  }
  args.pool.parallel_for(
      static_cast<std::size_t>(walk.outer() * row.size),
      grain_for(static_cast<double>(inner.size) / 2 + 4),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto r = static_cast<std::int64_t>(begin); r < static_cast<std::int64_t>(end);) {
          const std::int64_t first = r % row.size;
          const std::int64_t rows = std::min(row.size - first, static_cast<std::int64_t>(end) - r);
          std::int64_t from_x = first * row.a, from_y = first * row.b, rest = r / row.size;
          for (std::size_t i = walk.count - 2; i-- > 0; rest /= walk.axes[i].size) {
            from_x += rest % walk.axes[i].size * walk.axes[i].a;
            from_y += rest % walk.axes[i].size * walk.axes[i].b;
          }
          zip_rows(kOp, {x + from_x, row.a, inner.a == 0}, {y + from_y, row.b, inner.b == 0},
                   z + r * inner.size, rows, inner.size);
          r += rows;
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
  return {.op = kOp, .name = name, .accepts = all_f32, .cost = cost, .run = run_binary<kOp>};
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
