// Pooling over windows of channels-last images, each channel by itself.
//
//   max_pool           y = max over the window, padding left out
//   max_pool_gradient  dx = dy at the first place (row-major in the window) where x attains the
//   maximum, summed
//                      over the windows that share it
//   avg_pool           y = mean over the window; padding left out, or counted as zeros
//   (kCountPadding) avg_pool_gradient  dx = dy spread evenly over what was averaged
//
// avg_pool is linear: its derivative is avg_pool_gradient and that one's is avg_pool.
// max_pool_gradient is linear in dy; its derivative picks from the cotangent what max_pool picked
// from x, which the vocabulary does not need.

#include "runtime/ops/linear.h"

namespace inkling {

namespace {

Result<ops::WindowSize> pool_window(const Shape& x, const Attrs& attrs) {
  const auto& kernel = attrs.integers(Attr::kKernel);
  if (kernel.size() != 2) return ops::refuse("a kernel of ", kernel.size(), " sizes, expected 2");
  const auto& pads = attrs.integers(Attr::kPads);
  for (std::size_t i = 0; i < pads.size(); ++i) {
    if (pads[i] >= kernel[i % 2])
      return ops::refuse("padding ", pads[i], " of a kernel of ", kernel[i % 2], ": expected less");
  }
  return ops::window_size(x, kernel[0], kernel[1], attrs);
}

ops::WindowSize checked_window(const Shape& x, const Attrs& attrs) {
  return *ops::window_size(x, attrs.integers(Attr::kKernel)[0], attrs.integers(Attr::kKernel)[1],
                           attrs);
}

Result<Shape> pooled_shape(const Shape& x, const Attrs& attrs) {
  INK_TRY(const ops::WindowSize s, pool_window(x, attrs));
  const std::array<std::int64_t, 4> dims = {s.batch, s.out_height, s.out_width, s.channels};
  return Shape::from(dims);
}

ops::Specs infer(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_floats(in, 1, 1));
  INK_TRY(const Shape y, pooled_shape(in[0].shape, attrs));
  return std::vector<TensorSpec>{{in[0].dtype, y}};
}

// inputs x, dy
ops::Specs infer_max_gradient(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_floats(in, 2, 2));
  INK_TRY(const Shape y, pooled_shape(in[0].shape, attrs));
  if (in[1].shape != y) return ops::refuse("a cotangent ", in[1].shape, ", expected ", y);
  return std::vector<TensorSpec>{in[0]};
}

// input dy; attribute kShape: the shape of x
ops::Specs infer_avg_gradient(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_floats(in, 1, 1));
  INK_TRY(const Shape x, Shape::from(attrs.integers(Attr::kShape)));
  INK_TRY(const Shape y, pooled_shape(x, attrs));
  if (in[0].shape != y) return ops::refuse("a cotangent ", in[0].shape, ", expected ", y);
  return std::vector<TensorSpec>{{in[0].dtype, x}};
}

void max_reference(const KernelArgs& args) {
  const auto s = checked_window(args.in[0].shape(), args.attrs);
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    std::fill_n(y, args.out[0].elements(), -std::numeric_limits<T>::infinity());
    ops::for_each_tap(s, [&](std::int64_t to, std::int64_t, std::int64_t from) {
      for (std::int64_t c = 0; c < s.channels; ++c) {
        y[to * s.channels + c] = std::max(y[to * s.channels + c], x[from * s.channels + c]);
      }
    });
  });
}

void max_gradient_reference(const KernelArgs& args) {
  const auto s = checked_window(args.in[0].shape(), args.attrs);
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    const T* dy = args.in[1].as<T>();
    T* dx = args.out[0].as<T>();
    std::fill_n(dx, args.out[0].elements(), T{0});
    for (std::int64_t c = 0; c < s.channels; ++c) {
      std::int64_t window = -1, best = -1;
      const auto give = [&] {
        if (best >= 0) dx[best * s.channels + c] += dy[window * s.channels + c];
      };
      ops::for_each_tap(s, [&](std::int64_t to, std::int64_t, std::int64_t from) {
        if (to != window) {
          give();
          window = to;
          best = from;
        } else if (x[from * s.channels + c] > x[best * s.channels + c]) {
          best = from;
        }
      });
      give();
    }
  });
}

// Calls body(output pixel, input pixel, 1 / number averaged).
template <typename Body>
void for_each_share(const ops::WindowSize& s, bool count_padding, const Body& body) {
  const auto covered = [](std::int64_t start, std::int64_t kernel, std::int64_t dilation,
                          std::int64_t size) {
    std::int64_t count = 0;
    for (std::int64_t k = 0; k < kernel; ++k)
      count += start + k * dilation >= 0 && start + k * dilation < size;
    return count;
  };
  ops::for_each_tap(s, [&](std::int64_t to, std::int64_t, std::int64_t from) {
    const std::int64_t y0 = to / s.out_width % s.out_height * s.stride_y - s.pad_top;
    const std::int64_t x0 = to % s.out_width * s.stride_x - s.pad_left;
    const std::int64_t count = count_padding
                                   ? s.kernel_height * s.kernel_width
                                   : covered(y0, s.kernel_height, s.dilation_y, s.height) *
                                         covered(x0, s.kernel_width, s.dilation_x, s.width);
    body(to, from, 1.0 / static_cast<double>(count));
  });
}

void avg_reference(const KernelArgs& args) {
  const auto s = checked_window(args.in[0].shape(), args.attrs);
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = args.in[0].as<T>();
    T* y = args.out[0].as<T>();
    std::fill_n(y, args.out[0].elements(), T{0});
    for_each_share(s, args.attrs.integer(Attr::kCountPadding) != 0,
                   [&](std::int64_t to, std::int64_t from, double share) {
                     for (std::int64_t c = 0; c < s.channels; ++c)
                       y[to * s.channels + c] += x[from * s.channels + c] * static_cast<T>(share);
                   });
  });
}

void avg_gradient_reference(const KernelArgs& args) {
  const auto s = checked_window(args.out[0].shape(), args.attrs);
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* dy = args.in[0].as<T>();
    T* dx = args.out[0].as<T>();
    std::fill_n(dx, args.out[0].elements(), T{0});
    for_each_share(s, args.attrs.integer(Attr::kCountPadding) != 0,
                   [&](std::int64_t to, std::int64_t from, double share) {
                     for (std::int64_t c = 0; c < s.channels; ++c)
                       dx[from * s.channels + c] += dy[to * s.channels + c] * static_cast<T>(share);
                   });
  });
}

void max_derivative(Adjoint& a) {
  a.set(0, a.graph.append(OpKind::kMaxPoolGradient, {a.input(0), a.cotangent()}, a.attrs()));
}

void avg_derivative(Adjoint& a) {
  Attrs attrs = a.attrs();
  const auto dims = a.graph.shape(a.input(0)).dims();
  attrs.set(Attr::kShape, std::vector<std::int64_t>(dims.begin(), dims.end()));
  a.set(0, a.graph.append(OpKind::kAvgPoolGradient, {a.cotangent()}, std::move(attrs)));
}

void avg_gradient_derivative(Adjoint& a) {
  a.set(0, a.graph.append(OpKind::kAvgPool, {a.cotangent()}, a.attrs()));
}

Attrs pool_attrs(std::array<std::int64_t, 2> kernel, const Window& window) {
  Attrs attrs = ops::window_attrs(window);
  attrs.set(Attr::kKernel, std::vector<std::int64_t>(kernel.begin(), kernel.end()));
  return attrs;
}

}  // namespace

constinit const OpDef max_pool_def{"max_pool", infer, max_reference, max_derivative};
constinit const OpDef max_pool_gradient_def{"max_pool_gradient", infer_max_gradient,
                                            max_gradient_reference, nullptr};
constinit const OpDef avg_pool_def{"avg_pool", infer, avg_reference, avg_derivative};
constinit const OpDef avg_pool_gradient_def{"avg_pool_gradient", infer_avg_gradient,
                                            avg_gradient_reference, avg_gradient_derivative};

ValueId max_pool(Graph& g, ValueId x, std::array<std::int64_t, 2> kernel, const Window& window) {
  return g.append(OpKind::kMaxPool, {x}, pool_attrs(kernel, window));
}

ValueId avg_pool(Graph& g, ValueId x, std::array<std::int64_t, 2> kernel, const Window& window,
                 bool count_padding) {
  Attrs attrs = pool_attrs(kernel, window);
  attrs.set(Attr::kCountPadding, std::int64_t{count_padding});
  return g.append(OpKind::kAvgPool, {x}, std::move(attrs));
}

}  // namespace inkling
