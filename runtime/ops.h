#pragma once
// The vocabulary: every op as a free function that appends to a graph and returns its (first)
// output. Shapes are written f32[rows, columns]; images are channels-last, [batch, height, width,
// channels]. A wrong shape latches an error in the graph. Formulas and derivatives stand in
// runtime/ops/.

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "runtime/graph.h"

namespace inkling {

// Elementwise, x of any float shape.
ValueId neg(Graph& g, ValueId x);
ValueId exp(Graph& g, ValueId x);
ValueId log(Graph& g, ValueId x);
ValueId sqrt(Graph& g, ValueId x);
ValueId tanh(Graph& g, ValueId x);
ValueId sigmoid(Graph& g, ValueId x);  // 1 / (1 + exp(-x))
ValueId erf(Graph& g, ValueId x);
ValueId sin(Graph& g, ValueId x);
ValueId cos(Graph& g, ValueId x);
ValueId tan(Graph& g, ValueId x);
ValueId asin(Graph& g, ValueId x);
ValueId acos(Graph& g, ValueId x);
ValueId atan(Graph& g, ValueId x);
ValueId sinh(Graph& g, ValueId x);
ValueId cosh(Graph& g, ValueId x);
ValueId asinh(Graph& g, ValueId x);
ValueId acosh(Graph& g, ValueId x);
ValueId atanh(Graph& g, ValueId x);
ValueId floor(Graph& g, ValueId x);
ValueId ceil(Graph& g, ValueId x);
ValueId round(Graph& g, ValueId x);  // to the nearest, ties to even
ValueId abs(Graph& g, ValueId x);    // of any numbers
ValueId sign(Graph& g, ValueId x);   // of any numbers: -1, 0 or 1

// The same numbers in another element type; floats to integers towards zero, within bounds.
ValueId cast(Graph& g, ValueId x, DType dtype);

// Elementwise on two tensors of numbers of one type; integers wrap around. Shapes that differ are
// broadcast by NumPy's rule, with broadcast_to appended.
ValueId add(Graph& g, ValueId a, ValueId b);
ValueId sub(Graph& g, ValueId a, ValueId b);
ValueId mul(Graph& g, ValueId a, ValueId b);
ValueId div(Graph& g, ValueId a, ValueId b);
ValueId scale(Graph& g, ValueId x, double factor);  // x * factor
ValueId shift(Graph& g, ValueId x, double offset);  // x + offset
ValueId maximum(Graph& g, ValueId a, ValueId b);
ValueId minimum(Graph& g, ValueId a, ValueId b);
ValueId pow(Graph& g, ValueId a, ValueId b);
// The remainder, with the sign of b; truncated: with the sign of a.
ValueId mod(Graph& g, ValueId a, ValueId b, bool truncated = false);
ValueId shift_left(Graph& g, ValueId a, ValueId b);  // bits of integers
ValueId shift_right(Graph& g, ValueId a, ValueId b);
ValueId scalar_like(Graph& g, ValueId x, double value);  // a constant of x's element type
ValueId scalar_of(Graph& g, DType dtype, double value);  // a constant

// Questions give bools, which choose.
ValueId equal(Graph& g, ValueId a, ValueId b);
ValueId less(Graph& g, ValueId a, ValueId b);
ValueId less_equal(Graph& g, ValueId a, ValueId b);
ValueId logical_and(Graph& g, ValueId a, ValueId b);
ValueId logical_or(Graph& g, ValueId a, ValueId b);
ValueId logical_not(Graph& g, ValueId a);
ValueId where(Graph& g, ValueId condition, ValueId a, ValueId b);

// min(max(x, low), high); the derivative is 1 strictly between the bounds and 0 elsewhere.
ValueId clamp(Graph& g, ValueId x, double low, double high);
ValueId clamp_gradient(Graph& g, ValueId x, ValueId cotangent, double low, double high);
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline ValueId relu(Graph& g, ValueId x) { return clamp(g, x, 0.0, kInfinity); }
inline ValueId relu6(Graph& g, ValueId x) { return clamp(g, x, 0.0, 6.0); }
ValueId hard_sigmoid(Graph& g, ValueId x, double slope,
                     double offset);      // clamp(slope x + offset, 0, 1)
ValueId hard_swish(Graph& g, ValueId x);  // x clamp(x / 6 + 1/2, 0, 1)

// Shape. sum_to is the adjoint of broadcast_to: it sums every axis along which `shape` has size 1
// (or that it lacks in front).
ValueId reshape(Graph& g, ValueId x, const Shape& shape);  // no data moves
ValueId transpose(Graph& g, ValueId x, std::vector<std::int64_t> permutation);
ValueId broadcast_to(Graph& g, ValueId x, const Shape& shape);
ValueId sum_to(Graph& g, ValueId x, const Shape& shape);
ValueId sum(Graph& g, ValueId x);                                            // to a scalar
ValueId mean(Graph& g, ValueId x);                                           // to a scalar
ValueId mean_axes(Graph& g, ValueId x, std::span<const std::int64_t> axes);  // keeps them, size 1
// Like sum_to, with the largest, the smallest, the product.
ValueId max_to(Graph& g, ValueId x, const Shape& shape);
ValueId min_to(Graph& g, ValueId x, const Shape& shape);
ValueId prod_to(Graph& g, ValueId x, const Shape& shape);
// Running sums along an axis; exclusive: each without its own element; reverse: from the end.
ValueId cumsum(Graph& g, ValueId x, std::int64_t axis, bool exclusive = false,
               bool reverse = false);
struct TopK {
  ValueId values, places;  // places: i64, along the last axis
};
// The k largest (or smallest) of each row of the last axis, in order; of equals the first.
TopK top_k(Graph& g, ValueId x, std::int64_t k, bool smallest = false);
ValueId slice(Graph& g, ValueId x, std::vector<std::int64_t> starts,
              std::vector<std::int64_t> sizes);
ValueId pad(Graph& g, ValueId x, std::vector<std::int64_t> before, std::vector<std::int64_t> after,
            double value = 0.0);
ValueId concat(Graph& g, std::span<const ValueId> parts, std::int64_t axis);

// Rows by number; indices i32 or i64 of any shape. A negative index counts from the end; one that
// lies outside names no row: gather gives zeros there, scatters leave it out.
ValueId gather(Graph& g, ValueId x, ValueId indices, std::int64_t axis);  // an embedding: axis 0
// Zeros of `shape` with the updates added: the adjoint of gather.
ValueId scatter_add(Graph& g, ValueId indices, ValueId updates, std::int64_t axis,
                    const Shape& shape);
enum class ScatterMode : std::uint8_t { kSet, kMul, kMin, kMax };
// x with rows (of axis 0) overwritten by, or combined with, the updates in order.
ValueId scatter(Graph& g, ValueId x, ValueId indices, ValueId updates,
                ScatterMode mode = ScatterMode::kSet);
// The updates f32[k, ...] of rows i32 or i64[k] of a table of `rows`, each row once and in
// ascending order, with the sum of its updates in their order; what is left of k are rows that name
// none (the number `rows` itself) with zeros. A gradient of a table of which few rows are read.
struct CoalescedRows {
  ValueId rows, values;  // i64[k], f32[k, ...]
};
CoalescedRows coalesce_rows(Graph& g, ValueId indices, ValueId updates, std::int64_t rows);

// [..., m, k] x [..., k, n] -> [..., m, n]; equal ranks and leading sizes. A transposed operand is
// stored
// [..., k, m] or [..., n, k].
ValueId matmul(Graph& g, ValueId a, ValueId b, bool transpose_a = false, bool transpose_b = false);

// Sliding windows over [n, h, w, c].
struct Window {
  std::array<std::int64_t, 2> strides = {1, 1};     // [vertical, horizontal]
  std::array<std::int64_t, 4> pads = {0, 0, 0, 0};  // [top, left, bottom, right]
  std::array<std::int64_t, 2> dilations = {1, 1};
};
// weights [kh, kw, in, out] -> [n, oh, ow, out]
ValueId conv2d(Graph& g, ValueId x, ValueId weights, const Window& window);
// The adjoint of conv2d in its image, which is transposed convolution: [n, oh, ow, out] -> x, a
// shape that conv2d would take to that of y.
ValueId conv2d_input_gradient(Graph& g, ValueId y, ValueId weights, const Window& window,
                              const Shape& x);
// weights [kh, kw, c] -> [n, oh, ow, c]: each channel by itself
ValueId depthwise_conv2d(Graph& g, ValueId x, ValueId weights, const Window& window);
ValueId max_pool(Graph& g, ValueId x, std::array<std::int64_t, 2> kernel, const Window& window);
// Padding is left out of each average unless count_padding.
ValueId avg_pool(Graph& g, ValueId x, std::array<std::int64_t, 2> kernel, const Window& window,
                 bool count_padding = false);

// Along the last axis, stabilised by the row maximum.
ValueId softmax(Graph& g, ValueId x);
ValueId log_softmax(Graph& g, ValueId x);

// A gated recurrent unit along one sequence: input projections [t, 3d] (update, reset, candidate;
// biases included), u [d, 3d] and h0 [1, d] -> states [t, d].
ValueId gru(Graph& g, ValueId x, ValueId u, ValueId h0);

// Optimizer steps: the new value of the weights (and moments). rate is a scalar tensor. Weight
// decay is added to the gradient, except where it says otherwise.
//   g = gradient + weight_decay * weights;  velocity' = momentum * velocity + g
//   weights' = weights - rate * velocity', or with nesterov: weights - rate * (g + momentum *
//   velocity')
// Without momentum there need be no velocity: kNoValue, and none comes back.
struct SgdStep {
  ValueId weights, velocity;
};
SgdStep sgd_step(Graph& g, ValueId weights, ValueId gradient, ValueId velocity, ValueId rate,
                 double momentum, double weight_decay, bool nesterov = false);
// Adam (Kingma & Ba, ICLR 2015) with decoupled weight decay (Loshchilov & Hutter, ICLR 2019).
// `step` is a scalar that counts from 1.
struct AdamStep {
  ValueId weights, first_moment, second_moment;
};
AdamStep adam_step(Graph& g, ValueId weights, ValueId gradient, ValueId first_moment,
                   ValueId second_moment, ValueId rate, ValueId step, double beta1 = 0.9,
                   double beta2 = 0.999, double epsilon = 1e-8, double weight_decay = 0.0);
// Adagrad (Duchi, Hazan & Singer, JMLR 2011) and RMSProp (Hinton, Coursera lecture 6e, 2012): a
// sum, or a running mean, of squared gradients.
struct ScaledStep {
  ValueId weights, squares;
};
ScaledStep adagrad_step(Graph& g, ValueId weights, ValueId gradient, ValueId squares, ValueId rate,
                        double epsilon = 1e-10, double weight_decay = 0.0);
ScaledStep rmsprop_step(Graph& g, ValueId weights, ValueId gradient, ValueId squares, ValueId rate,
                        double smoothing = 0.99, double epsilon = 1e-8, double weight_decay = 0.0);
// FTRL-Proximal (McMahan et al., KDD 2013, algorithm 1); the rate is its alpha. A weight is what
// `sums` and `squares` say, from its first gradient on: exactly zero where l1 outweighs the sum,
// and near zero at first with a beta above zero, wherever it began. A rate of zero leaves
// everything as it is.
struct FtrlStep {
  ValueId weights, sums, squares;
};
FtrlStep ftrl_step(Graph& g, ValueId weights, ValueId gradient, ValueId sums, ValueId squares,
                   ValueId rate, double beta = 0.0, double l1 = 0.0, double l2 = 0.0);

}  // namespace inkling
