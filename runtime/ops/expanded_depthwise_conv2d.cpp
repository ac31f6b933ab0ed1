// A depthwise convolution of an image whose channels a 1x1 convolution has expanded, as in the
// inverted residuals of MobileNetV2 (Sandler et al., CVPR 2018):
//
//   e[n, iy, ix, c] = clamp(sum_i x[n, iy, ix, i] we[i, c] + be[c], expand_min, expand_max)
//   y = clamp(depthwise_conv2d(e, wd) + bd, min, max)
//
// One op, so that the expanded image need never be there as a whole. The pass fuse_expansions makes
// it when a plan is made, after differentiation: it has no derivative.

#include "runtime/ops/linear.h"

namespace inkling {

namespace {

// Inputs x[n, h, w, i], we[1, 1, i, c], be[c], wd[kh, kw, c], bd[c].
ops::Specs infer(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_floats(in, 5, 5));
  const Shape &x = in[0].shape, &expand = in[1].shape, &weights = in[3].shape;
  if (expand.rank() != 4 || expand[0] != 1 || expand[1] != 1)
    return ops::refuse("weights ", expand, " of the expansion: expected [1, 1, in, out]");
  if (weights.rank() != 3 || weights[2] != expand[3])
    return ops::refuse("weights ", weights, " behind an expansion to ", expand[3], " channels");
  if (x.rank() != 4 || x[3] != expand[2])
    return ops::refuse("images ", x, " with weights ", expand, ": channels differ");
  for (const std::size_t bias : {2u, 4u}) {
    if (in[bias].shape != Shape{expand[3]})
      return ops::refuse("a bias ", in[bias].shape, ", expected [", expand[3], "]");
  }
  INK_TRY(const ops::WindowSize size, ops::window_size(x, weights[0], weights[1], attrs));
  const std::array<std::int64_t, 4> dims = {size.batch, size.out_height, size.out_width, expand[3]};
  INK_TRY(const Shape y, Shape::from(dims));
  return std::vector<TensorSpec>{{in[0].dtype, y}};
}

void reference(const KernelArgs& args) {
  const Shape &x_shape = args.in[0].shape(), &kernel = args.in[3].shape();
  const auto size = *ops::window_size(x_shape, kernel[0], kernel[1], args.attrs);
  const std::int64_t in = x_shape[3], channels = kernel[2];
  ops::on_float(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T *x = args.in[0].as<T>(), *expand = args.in[1].as<T>(), *weights = args.in[3].as<T>();
    const std::span<T> y = args.out[0].span<T>();
    const ops::Epilogue<T> inner{
        .bias = args.in[2].as<T>(),
        .low = static_cast<T>(args.attrs.real(Attr::kExpandMin, -kInfinity)),
        .high = static_cast<T>(args.attrs.real(Attr::kExpandMax, kInfinity))};
    const ops::Epilogue<T> outer{.bias = args.in[4].as<T>(),
                                 .low = static_cast<T>(args.attrs.real(Attr::kMin, -kInfinity)),
                                 .high = static_cast<T>(args.attrs.real(Attr::kMax, kInfinity))};
    std::fill(y.begin(), y.end(), T{0});
    ops::for_each_tap(size, [&](std::int64_t to, std::int64_t tap, std::int64_t from) {
      for (std::int64_t c = 0; c < channels; ++c) {
        T expanded = 0;
        for (std::int64_t i = 0; i < in; ++i)
          expanded += x[from * in + i] * expand[i * channels + c];
        y[static_cast<std::size_t>(to * channels + c)] +=
            inner.apply(expanded, c, channels) * weights[tap * channels + c];
      }
    });
    for (std::size_t i = 0; i < y.size(); ++i)
      y[i] = outer.apply(y[i], static_cast<std::int64_t>(i), channels);
  });
}

}  // namespace

constinit const OpDef expanded_depthwise_conv2d_def{"expanded_depthwise_conv2d", infer, reference,
                                                    nullptr};

}  // namespace inkling
