// Questions, their combinations, and the choice that they make.
//
//   equal, less, less_equal   bool of two tensors of one type (NaN: false)    no derivative
//   logical_and, logical_or   of bools                                        no derivative
//   where   a where the condition holds, else b    da = dy where it holds   db = dy elsewhere
//   shift_left, shift_right   bits of integers; shifting all out gives zero   no derivative

#include "runtime/ops/elementwise.h"

namespace inkling {

namespace {

ops::Specs infer_question(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(ops::expect_alike(in, 2, 2));
  if (!is_number(in[0].dtype) && in[0].dtype != DType::kBool)
    return ops::refuse(in[0], ": expected numbers or bools");
  INK_TRY(const Shape shape, ops::broadcast_shape(in[0].shape, in[1].shape));
  return std::vector<TensorSpec>{{DType::kBool, shape}};
}

template <typename F>
void ask(const KernelArgs& args) {
  const auto dtype = args.in[0].spec.dtype;
  ops::on_number(dtype == DType::kBool ? DType::kU8 : dtype, [&](auto tag) {
    using T = decltype(tag);
    ops::zip<T, bool>(args, [](T a, T b) { return F::of(a, b); });
  });
}

struct Equal {
  static bool of(auto a, auto b) { return a == b; }
};
struct Less {
  static bool of(auto a, auto b) { return a < b; }
};
struct LessEqual {
  static bool of(auto a, auto b) { return a <= b; }
};

ops::Specs infer_logical(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_alike(in, 2, 2));
  if (in[0].dtype != DType::kBool) return ops::refuse(in[0], ": expected bools");
  return infer_question(in, attrs);
}

void and_reference(const KernelArgs& args) {
  ops::zip<bool, bool>(args, [](bool a, bool b) { return a && b; });
}
void or_reference(const KernelArgs& args) {
  ops::zip<bool, bool>(args, [](bool a, bool b) { return a || b; });
}

ops::Specs infer_where(std::span<const TensorSpec> in, const Attrs&) {
  if (in.size() != 3) return ops::refuse(in.size(), " inputs, expected 3");
  if (in[0].dtype != DType::kBool) return ops::refuse("a condition ", in[0], ", expected bools");
  INK_CHECK_OK(ops::expect_alike(in.subspan(1), 2, 2));
  INK_TRY(const Shape branches, ops::broadcast_shape(in[1].shape, in[2].shape));
  INK_TRY(const Shape shape, ops::broadcast_shape(in[0].shape, branches));
  return std::vector<TensorSpec>{{in[1].dtype, shape}};
}

void where_reference(const KernelArgs& args) {
  const Shape& shape = args.out[0].shape();
  ops::on_width(args.out[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const bool* condition = args.in[0].as<const bool>();
    const T* a = args.in[1].as<const T>();
    const T* b = args.in[2].as<const T>();
    T* y = args.out[0].as<T>();
    ops::for_each_index<3>(
        shape,
        {ops::broadcast_strides(args.in[0].shape(), shape),
         ops::broadcast_strides(args.in[1].shape(), shape),
         ops::broadcast_strides(args.in[2].shape(), shape)},
        [&](std::int64_t i, const auto& at) { y[i] = condition[at[0]] ? a[at[1]] : b[at[2]]; });
  });
}

void where_derivative(Adjoint& a) {
  Graph& g = a.graph;
  const ValueId zero = scalar_like(g, a.cotangent(), 0.0);
  if (a.wanted(1)) ops::set_summed(a, 1, where(g, a.input(0), a.cotangent(), zero));
  if (a.wanted(2)) ops::set_summed(a, 2, where(g, a.input(0), zero, a.cotangent()));
}

ops::Specs infer_shift(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_alike(in, 2, 2));
  if (!is_integer(in[0].dtype)) return ops::refuse(in[0], ": expected integers");
  return ops::infer_binary_number(in, attrs);
}

template <bool kLeft>
void shift_reference(const KernelArgs& args) {
  ops::on_number(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_integral_v<T>) {
      constexpr auto kBits = static_cast<std::uint64_t>(8 * sizeof(T));
      ops::zip<T, T>(args, [](T a, T b) {
        if (static_cast<std::uint64_t>(b) >= kBits) return T{0};
        const auto bits = static_cast<std::make_unsigned_t<T>>(a);
        return static_cast<T>(kLeft ? static_cast<std::uint64_t>(bits) << b
                                    : static_cast<std::uint64_t>(bits) >> b);
      });
    }
  });
}

}  // namespace

constinit const OpDef equal_def{"equal", infer_question, ask<Equal>, nullptr, true};
constinit const OpDef less_def{"less", infer_question, ask<Less>, nullptr, true};
constinit const OpDef less_equal_def{"less_equal", infer_question, ask<LessEqual>, nullptr, true};
constinit const OpDef logical_and_def{"logical_and", infer_logical, and_reference, nullptr, true};
constinit const OpDef logical_or_def{"logical_or", infer_logical, or_reference, nullptr, true};
constinit const OpDef where_def{"where", infer_where, where_reference, where_derivative, true};
constinit const OpDef shift_left_def{"shift_left", infer_shift, shift_reference<true>, nullptr,
                                     true};
constinit const OpDef shift_right_def{"shift_right", infer_shift, shift_reference<false>, nullptr,
                                      true};

using ops::append_broadcast;
ValueId equal(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kEqual, a, b); }
ValueId less(Graph& g, ValueId a, ValueId b) { return append_broadcast(g, OpKind::kLess, a, b); }
ValueId less_equal(Graph& g, ValueId a, ValueId b) {
  return append_broadcast(g, OpKind::kLessEqual, a, b);
}
ValueId logical_and(Graph& g, ValueId a, ValueId b) {
  return append_broadcast(g, OpKind::kLogicalAnd, a, b);
}
ValueId logical_or(Graph& g, ValueId a, ValueId b) {
  return append_broadcast(g, OpKind::kLogicalOr, a, b);
}
ValueId logical_not(Graph& g, ValueId a) { return equal(g, a, scalar_of(g, DType::kBool, 0.0)); }
ValueId shift_left(Graph& g, ValueId a, ValueId b) {
  return append_broadcast(g, OpKind::kShiftLeft, a, b);
}
ValueId shift_right(Graph& g, ValueId a, ValueId b) {
  return append_broadcast(g, OpKind::kShiftRight, a, b);
}

ValueId where(Graph& g, ValueId condition, ValueId a, ValueId b) {
  if (!g.status()) return kNoValue;
  const auto joint = ops::broadcast_shape(g.shape(a), g.shape(b));
  const auto shape = joint ? ops::broadcast_shape(g.shape(condition), *joint) : joint;
  if (!shape) {
    g.latch({shape.error().code, concat("where: ", shape.error().message)});
    return kNoValue;
  }
  const ValueId whole = broadcast_to(g, condition, *shape);
  const ValueId whole_a = broadcast_to(g, a, *shape), whole_b = broadcast_to(g, b, *shape);
  return g.append(OpKind::kWhere, {whole, whole_a, whole_b});
}

}  // namespace inkling
