// Convolution (cross-correlation) over channels-last images, dense and depthwise, and the ops of
// its derivative.
//
//   conv2d                  y[n, oy, ox, o]  = sum_{ky, kx, i} x[n, iy, ix, i] w[ky, kx, i, o]   (+
//   bias, + an addend of the result's shape, clamped, when fused) conv2d_input_gradient   dx[n, iy,
//   ix, i] = sum over the (oy, ox, ky, kx, o) that meet there of dy[n, oy, ox, o] w[ky, kx, i, o]
//   conv2d_weight_gradient  dw[ky, kx, i, o] = sum_{n, oy, ox} x[n, iy, ix, i] dy[n, oy, ox, o]
// with iy = oy stride - pad_top + ky dilation, and so for ix. The depthwise ops have i = o and
// w[ky, kx, o].
//
// The three of a kind are one trilinear form <dy, conv(x, w)> with one argument taken out, so the
// derivatives of each are the other two: the set is closed, and higher derivatives need nothing
// more.

#include "runtime/ops/linear.h"

namespace inkling {

namespace {

// w[ky, kx, in, out]: every output channel sees every input channel.
struct Dense {
  static constexpr OpKind kForward = OpKind::kConv2d;
  static constexpr OpKind kInputGradient = OpKind::kConv2dInputGradient;
  static constexpr OpKind kWeightGradient = OpKind::kConv2dWeightGradient;
  static constexpr std::size_t kWeightRank = 4, kInputsMax = 4;
  static Result<std::vector<std::int64_t>> weight_dims(std::int64_t kh, std::int64_t kw,
                                                       std::int64_t in, std::int64_t out) {
    return std::vector<std::int64_t>{kh, kw, in, out};
  }
  // body(input channel, output channel, weight index within the tap)
  template <typename Body>
  static void channels(std::int64_t in, std::int64_t out, const Body& body) {
    for (std::int64_t i = 0; i < in; ++i) {
      for (std::int64_t o = 0; o < out; ++o) body(i, o, i * out + o);
    }
  }
};

// w[ky, kx, channel]: each channel by itself.
struct Depthwise {
  static constexpr OpKind kForward = OpKind::kDepthwiseConv2d;
  static constexpr OpKind kInputGradient = OpKind::kDepthwiseConv2dInputGradient;
  static constexpr OpKind kWeightGradient = OpKind::kDepthwiseConv2dWeightGradient;
  static constexpr std::size_t kWeightRank = 3, kInputsMax = 3;
  static Result<std::vector<std::int64_t>> weight_dims(std::int64_t kh, std::int64_t kw,
                                                       std::int64_t in, std::int64_t out) {
    if (in != out)
      return ops::refuse("images of ", in, " channels with a cotangent of ", out,
                         ": channels differ");
    return std::vector<std::int64_t>{kh, kw, in};
  }
  template <typename Body>
  static void channels(std::int64_t in, std::int64_t, const Body& body) {
    for (std::int64_t c = 0; c < in; ++c) body(c, c, c);
  }
};

Attrs with_integers(const Attrs& window, Attr attr, std::span<const std::int64_t> values) {
  Attrs attrs;
  for (const Attr part : {Attr::kStrides, Attr::kPads, Attr::kDilations})
    attrs.set(part, window.integers(part));
  attrs.set(attr, std::vector<std::int64_t>(values.begin(), values.end()));
  return attrs;
}

Result<Shape> image_shape(const ops::WindowSize& s, std::int64_t channels) {
  const std::array<std::int64_t, 4> dims = {s.batch, s.out_height, s.out_width, channels};
  return Shape::from(dims);
}

template <typename Kind>
struct Convolution {
  static Result<ops::WindowSize> expect(const Shape& x, const Shape& w, const Attrs& attrs) {
    if (w.rank() != Kind::kWeightRank)
      return ops::refuse("weights ", w, ": expected rank ", Kind::kWeightRank);
    INK_TRY(const ops::WindowSize size, ops::window_size(x, w[0], w[1], attrs));
    if (x[3] != w[2]) return ops::refuse("images ", x, " with weights ", w, ": channels differ");
    return size;
  }

  static ops::Specs infer(std::span<const TensorSpec> in, const Attrs& attrs) {
    INK_CHECK_OK(ops::expect_linear(in, 2, Kind::kInputsMax, attrs));
    INK_TRY(const ops::WindowSize size, expect(in[0].shape, in[1].shape, attrs));
    INK_CHECK_OK(ops::expect_bias(in, in[1].shape.back()));
    INK_TRY(const Shape y, image_shape(size, in[1].shape.back()));
    INK_CHECK_OK(ops::expect_addend(in, y));
    return std::vector<TensorSpec>{{in[0].dtype, y}};
  }

  // inputs dy, w; attribute kShape: the shape of x
  static ops::Specs infer_input_gradient(std::span<const TensorSpec> in, const Attrs& attrs) {
    INK_CHECK_OK(ops::expect_floats(in, 2, 2));
    INK_TRY(const Shape x, Shape::from(attrs.integers(Attr::kShape)));
    INK_TRY(const ops::WindowSize size, expect(x, in[1].shape, attrs));
    INK_TRY(const Shape dy, image_shape(size, in[1].shape.back()));
    if (in[0].shape != dy) return ops::refuse("a cotangent ", in[0].shape, ", expected ", dy);
    return std::vector<TensorSpec>{{in[0].dtype, x}};
  }

  // inputs x, dy; attribute kKernel: height and width of w
  static ops::Specs infer_weight_gradient(std::span<const TensorSpec> in, const Attrs& attrs) {
    INK_CHECK_OK(ops::expect_floats(in, 2, 2));
    const auto& kernel = attrs.integers(Attr::kKernel);
    if (kernel.size() != 2) return ops::refuse("a kernel of ", kernel.size(), " sizes, expected 2");
    INK_TRY(const ops::WindowSize size, ops::window_size(in[0].shape, kernel[0], kernel[1], attrs));
    if (in[1].shape.rank() != 4)
      return ops::refuse("a cotangent ", in[1].shape, ": expected 4 axes");
    INK_TRY(const Shape dy, image_shape(size, in[1].shape[3]));
    if (in[1].shape != dy) return ops::refuse("a cotangent ", in[1].shape, ", expected ", dy);
    INK_TRY(const auto dims, Kind::weight_dims(kernel[0], kernel[1], size.channels, dy[3]));
    INK_TRY(const Shape w, Shape::from(dims));
    return std::vector<TensorSpec>{{in[0].dtype, w}};
  }

  static void reference(const KernelArgs& args) {
    run(
        args, args.in[0].shape(), args.in[1].shape(), args.out[0].shape(),
        [&](auto* x, auto* w, auto* y) {
          return [=](std::int64_t from, std::int64_t weight, std::int64_t to) {
            y[to] = ops::multiply_add(x[from], w[weight], y[to]);
          };
        },
        args.in[0], args.in[1], args.out[0]);
    ops::on_linear(args.in[0].spec.dtype, [&](auto tag) {
      using T = decltype(tag);
      const auto epilogue = ops::Epilogue<T>::of(args);
      const std::span<T> y = args.out[0].span<T>();
      const std::int64_t out = args.out[0].shape()[3];
      for (std::size_t i = 0; i < y.size(); ++i)
        y[i] = epilogue.apply(y[i], static_cast<std::int64_t>(i), out);
    });
  }

  static void input_gradient_reference(const KernelArgs& args) {
    run(
        args, args.out[0].shape(), args.in[1].shape(), args.in[0].shape(),
        [&](auto* dx, auto* w, auto* dy) {
          return [=](std::int64_t from, std::int64_t weight, std::int64_t to) {
            dx[from] = ops::multiply_add(dy[to], w[weight], dx[from]);
          };
        },
        args.out[0], args.in[1], args.in[0]);
  }

  static void weight_gradient_reference(const KernelArgs& args) {
    run(
        args, args.in[0].shape(), args.out[0].shape(), args.in[1].shape(),
        [&](auto* x, auto* dw, auto* dy) {
          return [=](std::int64_t from, std::int64_t weight, std::int64_t to) {
            dw[weight] = ops::multiply_add(x[from], dy[to], dw[weight]);
          };
        },
        args.in[0], args.out[0], args.in[1]);
  }

  static void derivative(Adjoint& a) {
    if (a.input_count() > 2 || a.attrs().has(Attr::kMin)) {
      a.graph.latch({ErrorCode::kUnsupported,
                     concat(op_name(Kind::kForward), ": differentiate before fusing")});
      return;
    }
    const ValueId x = a.input(0), w = a.input(1), dy = a.cotangent();
    if (a.wanted(0)) a.set(0, input_gradient(a, dy, w, x));
    if (a.wanted(1)) a.set(1, weight_gradient(a, x, dy, w));
  }

  static void input_gradient_derivative(Adjoint& a) {
    const ValueId dy = a.input(0), w = a.input(1), x = a.cotangent();
    if (a.wanted(0)) a.set(0, forward(a, x, w));
    if (a.wanted(1)) a.set(1, weight_gradient(a, x, dy, w));
  }

  static void weight_gradient_derivative(Adjoint& a) {
    const ValueId x = a.input(0), dy = a.input(1), w = a.cotangent();
    if (a.wanted(0)) a.set(0, input_gradient(a, dy, w, x));
    if (a.wanted(1)) a.set(1, forward(a, x, w));
  }

 private:
  static ValueId forward(Adjoint& a, ValueId x, ValueId w) {
    Attrs window;
    for (const Attr part : {Attr::kStrides, Attr::kPads, Attr::kDilations})
      window.set(part, a.attrs().integers(part));
    return a.graph.append(Kind::kForward, {x, w}, std::move(window));
  }
  static ValueId input_gradient(Adjoint& a, ValueId dy, ValueId w, ValueId like_x) {
    return a.graph.append(Kind::kInputGradient, {dy, w},
                          with_integers(a.attrs(), Attr::kShape, a.graph.shape(like_x).dims()));
  }
  static ValueId weight_gradient(Adjoint& a, ValueId x, ValueId dy, ValueId like_w) {
    return a.graph.append(
        Kind::kWeightGradient, {x, dy},
        with_integers(a.attrs(), Attr::kKernel, a.graph.shape(like_w).dims().first(2)));
  }

  // Clears the output, then calls the step that `bind` makes of the three arrays for every meeting
  // of an input element, a weight and an output element, in an order that is fixed.
  template <typename Bind>
  static void run(const KernelArgs& args, const Shape& x, const Shape& w, const Shape& y,
                  const Bind& bind, const TensorView& x_view, const TensorView& w_view,
                  const TensorView& y_view) {
    const auto s = *ops::window_size(x, w[0], w[1], args.attrs);
    const std::int64_t in = x[3], out = y[3];
    const std::int64_t tap_weights = w.elements() / (w[0] * w[1]);
    ops::on_linear(x_view.spec.dtype, [&](auto tag) {
      using T = decltype(tag);
      std::fill_n(args.out[0].as<T>(), args.out[0].elements(), T{0});
      const auto step = bind(x_view.as<T>(), w_view.as<T>(), y_view.as<T>());
      ops::for_each_tap(s, [&](std::int64_t to, std::int64_t kernel_tap, std::int64_t from) {
        Kind::channels(in, out, [&](std::int64_t i, std::int64_t o, std::int64_t weight) {
          step(from * in + i, kernel_tap * tap_weights + weight, to * out + o);
        });
      });
    });
  }
};

using DenseConvolution = Convolution<Dense>;
using DepthwiseConvolution = Convolution<Depthwise>;

}  // namespace

constinit const OpDef conv2d_def{"conv2d", DenseConvolution::infer, DenseConvolution::reference,
                                 DenseConvolution::derivative};
constinit const OpDef conv2d_input_gradient_def{
    "conv2d_input_gradient", DenseConvolution::infer_input_gradient,
    DenseConvolution::input_gradient_reference, DenseConvolution::input_gradient_derivative};
constinit const OpDef conv2d_weight_gradient_def{
    "conv2d_weight_gradient", DenseConvolution::infer_weight_gradient,
    DenseConvolution::weight_gradient_reference, DenseConvolution::weight_gradient_derivative};
constinit const OpDef depthwise_conv2d_def{"depthwise_conv2d", DepthwiseConvolution::infer,
                                           DepthwiseConvolution::reference,
                                           DepthwiseConvolution::derivative};
constinit const OpDef depthwise_conv2d_input_gradient_def{
    "depthwise_conv2d_input_gradient", DepthwiseConvolution::infer_input_gradient,
    DepthwiseConvolution::input_gradient_reference,
    DepthwiseConvolution::input_gradient_derivative};
constinit const OpDef depthwise_conv2d_weight_gradient_def{
    "depthwise_conv2d_weight_gradient", DepthwiseConvolution::infer_weight_gradient,
    DepthwiseConvolution::weight_gradient_reference,
    DepthwiseConvolution::weight_gradient_derivative};

ValueId conv2d(Graph& g, ValueId x, ValueId weights, const Window& window) {
  return g.append(OpKind::kConv2d, {x, weights}, ops::window_attrs(window));
}

ValueId conv2d_input_gradient(Graph& g, ValueId y, ValueId weights, const Window& window,
                              const Shape& x) {
  return g.append(OpKind::kConv2dInputGradient, {y, weights},
                  with_integers(ops::window_attrs(window), Attr::kShape, x.dims()));
}

ValueId depthwise_conv2d(Graph& g, ValueId x, ValueId weights, const Window& window) {
  return g.append(OpKind::kDepthwiseConv2d, {x, weights}, ops::window_attrs(window));
}

}  // namespace inkling
