// cast: the same numbers in another element type.
//
// To a narrower float: to the nearest, ties to even. From a float to an integer: towards zero, what
// is out of range to the nearest bound, NaN to 0. Between integers: the low bits. To bool: is it
// other than 0. dx = cast(dy) back where both are floats; nothing otherwise.

#include "runtime/ops/support.h"

namespace inkling {

namespace {

// Every element type is read as, and written from, one of three types that hold all of its values.
template <typename T>
constexpr auto widened(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return static_cast<double>(to_float(x));
  } else if constexpr (std::is_floating_point_v<T>) {
    return static_cast<double>(x);
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<std::int64_t>(x);
  } else {
    return static_cast<std::uint64_t>(x);
  }
}

template <typename T, typename Wide>
T narrowed(Wide x) {
  if constexpr (std::is_same_v<T, bool>) {
    return x != Wide{0};
  } else if constexpr (std::is_same_v<T, Half>) {
    return to_half(static_cast<float>(x));
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(static_cast<float>(x));
  } else if constexpr (std::is_integral_v<T> && std::is_floating_point_v<Wide>) {
    using Limits = std::numeric_limits<T>;
    if (!(x > static_cast<double>(Limits::lowest()))) return x != x ? T{0} : Limits::lowest();
    return x < std::ldexp(1.0, Limits::digits) ? static_cast<T>(x) : Limits::max();
  } else {
    return static_cast<T>(x);
  }
}

template <typename Body>
void on_any(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kBool:
      return body(bool{});
    case DType::kF16:
      return body(Half{});
    case DType::kBF16:
      return body(BFloat16{});
    default:
      return ops::on_number(dtype, body);
  }
}

ops::Specs infer(std::span<const TensorSpec> in, const Attrs& attrs) {
  if (in.size() != 1) return ops::refuse(in.size(), " inputs, expected 1");
  const std::int64_t to = attrs.integer(Attr::kDType, -1);
  if (to < 0 || to >= static_cast<std::int64_t>(kDTypeCount))
    return ops::refuse("element type ", to);
  return std::vector<TensorSpec>{{static_cast<DType>(to), in[0].shape}};
}

// In chunks, so that one loop a source type and three a target type do for every pair of types.
void reference(const KernelArgs& args) {
  constexpr std::int64_t kChunk = 256;
  const std::int64_t n = args.out[0].elements();
  on_any(args.in[0].spec.dtype, [&](auto from) {
    using From = decltype(from);
    using Wide = decltype(widened(From{}));
    Wide chunk[kChunk];
    for (std::int64_t at = 0; at < n; at += kChunk) {
      const std::int64_t count = std::min(kChunk, n - at);
      const From* x = args.in[0].as<const From>() + at;
      for (std::int64_t i = 0; i < count; ++i) chunk[i] = widened(x[i]);
      on_any(args.out[0].spec.dtype, [&](auto to) {
        using To = decltype(to);
        To* y = args.out[0].as<To>() + at;
        for (std::int64_t i = 0; i < count; ++i) y[i] = narrowed<To>(chunk[i]);
      });
    }
  });
}

void derivative(Adjoint& a) {
  const DType from = a.graph.spec(a.input(0)).dtype;
  if (is_float(from) && is_float(a.graph.spec(a.output()).dtype))
    a.set(0, cast(a.graph, a.cotangent(), from));
}

}  // namespace

constinit const OpDef cast_def{"cast", infer, reference, derivative, true};

ValueId cast(Graph& g, ValueId x, DType dtype) {
  if (!g.status() || g.spec(x).dtype == dtype) return x;
  return g.append(OpKind::kCast, {x}, {{Attr::kDType, static_cast<std::int64_t>(dtype)}});
}

}  // namespace inkling
