// Along the last axis, with m the row's maximum:
//
//   softmax      y_i = exp(x_i - m) / sum_j exp(x_j - m)       dx = y (dy - sum_j dy_j y_j)
//   log_softmax  y_i = x_i - m - log sum_j exp(x_j - m)        dx = dy - softmax(x) sum_j dy_j

#include <cmath>

#include "runtime/ops/support.h"

namespace inkling {

namespace {

ops::Specs infer(std::span<const TensorSpec> in, const Attrs&) {
  INK_CHECK_OK(ops::expect_floats(in, 1, 1));
  if (in[0].shape.rank() == 0 || in[0].shape.back() == 0)
    return ops::refuse(in[0].shape, ": expected a last axis with elements");
  return std::vector<TensorSpec>{in[0]};
}

// Calls row(x, y, count) for each row.
template <typename Row>
void rows(const KernelArgs& args, const Row& row) {
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const std::int64_t count = args.in[0].shape().back();
    for (std::int64_t at = 0; at < args.in[0].elements(); at += count) {
      row(args.in[0].as<const T>() + at, args.out[0].as<T>() + at, count);
    }
  });
}

void softmax_reference(const KernelArgs& args) {
  rows(args, [](const auto* x, auto* y, std::int64_t count) {
    const auto top = *std::max_element(x, x + count);
    auto total = top - top;
    for (std::int64_t i = 0; i < count; ++i) total += y[i] = std::exp(x[i] - top);
    for (std::int64_t i = 0; i < count; ++i) y[i] /= total;
  });
}

void log_softmax_reference(const KernelArgs& args) {
  rows(args, [](const auto* x, auto* y, std::int64_t count) {
    const auto top = *std::max_element(x, x + count);
    auto total = top - top;
    for (std::int64_t i = 0; i < count; ++i) total += std::exp(x[i] - top);
    const auto offset = top + std::log(total);
    for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] - offset;
  });
}

ValueId row_sum(Graph& g, ValueId x) {
  return sum_to(g, x, g.shape(x).with(g.shape(x).rank() - 1, 1));
}

void softmax_derivative(Adjoint& a) {
  Graph& g = a.graph;
  const ValueId y = a.output(), dy = a.cotangent();
  a.set(0, mul(g, y, sub(g, dy, row_sum(g, mul(g, dy, y)))));
}

void log_softmax_derivative(Adjoint& a) {
  Graph& g = a.graph;
  const ValueId dy = a.cotangent();
  a.set(0, sub(g, dy, mul(g, exp(g, a.output()), row_sum(g, dy))));
}

}  // namespace

constinit const OpDef softmax_def{"softmax", infer, softmax_reference, softmax_derivative};
constinit const OpDef log_softmax_def{"log_softmax", infer, log_softmax_reference,
                                      log_softmax_derivative};

ValueId softmax(Graph& g, ValueId x) { return g.append(OpKind::kSoftmax, {x}); }
ValueId log_softmax(Graph& g, ValueId x) { return g.append(OpKind::kLogSoftmax, {x}); }

}  // namespace inkling
