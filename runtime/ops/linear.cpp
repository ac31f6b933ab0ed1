#include "runtime/ops/linear.h"

namespace inkling::ops {

MatmulSize matmul_size(const Shape& a, const Shape& b, const Attrs& attrs) {
  const std::size_t rank = a.rank();
  MatmulSize size{
      1, 0, 0, 0, attrs.integer(Attr::kTransposeA) != 0, attrs.integer(Attr::kTransposeB) != 0};
  for (std::size_t i = 0; i + 2 < rank; ++i) size.batch *= a[i];
  size.m = a[size.transpose_a ? rank - 1 : rank - 2];
  size.k = a[size.transpose_a ? rank - 2 : rank - 1];
  size.n = b[size.transpose_b ? rank - 2 : rank - 1];
  return size;
}

Attrs window_attrs(const Window& window) {
  const auto list = [](const auto& values) {
    return std::vector<std::int64_t>(values.begin(), values.end());
  };
  return {{Attr::kStrides, list(window.strides)},
          {Attr::kPads, list(window.pads)},
          {Attr::kDilations, list(window.dilations)}};
}

namespace {

inline constexpr std::int64_t kWindowMax = 1 << 20;  // strides, pads, kernels, dilations

bool all_within(std::span<const std::int64_t> values, std::int64_t low) {
  return std::all_of(values.begin(), values.end(),
                     [&](std::int64_t v) { return v >= low && v <= kWindowMax; });
}

}  // namespace

Result<WindowSize> window_size(const Shape& x, std::int64_t kernel_height,
                               std::int64_t kernel_width, const Attrs& attrs) {
  const auto& strides = attrs.integers(Attr::kStrides);
  const auto& pads = attrs.integers(Attr::kPads);
  const auto& dilations = attrs.integers(Attr::kDilations);
  if (x.rank() != 4) return refuse(x, ": expected [batch, height, width, channels]");
  if (strides.size() != 2 || pads.size() != 4 || dilations.size() != 2 || !all_within(strides, 1) ||
      !all_within(pads, 0) || !all_within(dilations, 1)) {
    return refuse("a window needs 2 strides and 2 dilations >= 1 and 4 pads >= 0");
  }
  const std::array<std::int64_t, 2> kernel = {kernel_height, kernel_width};
  if (!all_within(kernel, 1))
    return refuse("a kernel of ", kernel_height, " x ", kernel_width, ": expected at least 1 x 1");
  WindowSize size{x[0], x[1],       x[2],       x[3],    kernel_height, kernel_width, 0,
                  0,    strides[0], strides[1], pads[0], pads[1],       dilations[0], dilations[1]};
  const std::int64_t room_y = x[1] + pads[0] + pads[2] - (kernel_height - 1) * dilations[0] - 1;
  const std::int64_t room_x = x[2] + pads[1] + pads[3] - (kernel_width - 1) * dilations[1] - 1;
  if (room_y < 0 || room_x < 0) {
    return refuse(x, ": a kernel of ", kernel_height, " x ", kernel_width,
                  " does not fit inside the padded image");
  }
  size.out_height = room_y / strides[0] + 1;
  size.out_width = room_x / strides[1] + 1;
  return size;
}

Result<void> expect_bias(std::span<const TensorSpec> in, std::int64_t n) {
  if (in.size() > 2 && (in[2].shape.rank() != 1 || in[2].shape[0] != n)) {
    return refuse("a bias ", in[2].shape, ", expected [", n, "]");
  }
  return {};
}

Result<void> expect_addend(std::span<const TensorSpec> in, const Shape& result) {
  if (in.size() > 3 && in[3].shape != result)
    return refuse("an addend ", in[3].shape, ", expected ", result);
  return {};
}

}  // namespace inkling::ops
