// softmax and log_softmax along the last axis. exp is Highway's, within one unit in the last place.

#include <cmath>

#include "runtime/backends/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/softmax.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
constexpr hn::CappedTag<float, 16> kTag;

// y = exp(x - top); returns the sum, added in vectors and then across lanes.
float exp_row(const float* x, float top, float* y, std::int64_t n) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kTag));
  auto total = hn::Zero(kTag);
  const auto offset = hn::Set(kTag, top);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto e = hn::Exp(kTag, hn::Sub(hn::LoadU(kTag, x + i), offset));
    hn::StoreU(e, kTag, y + i);
    total = hn::Add(total, e);
  }
  float sum = hn::GetLane(hn::SumOfLanes(kTag, total));
  if (i < n) {
    HWY_ALIGN float tail[16] = {};
    for (std::int64_t j = i; j < n; ++j) tail[j - i] = x[j];
    hn::Store(hn::Exp(kTag, hn::Sub(hn::Load(kTag, tail), offset)), kTag, tail);
    for (std::int64_t j = i; j < n; ++j) sum += y[j] = tail[j - i];
  }
  return sum;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(exp_row);

namespace {

template <typename Row>
void rows(const KernelArgs& args, const Row& row) {
  const std::int64_t n = args.in[0].shape().back();
  args.pool.parallel_for(
      static_cast<std::size_t>(args.in[0].elements() / n), grain_for(static_cast<double>(n) * 3),
      [&](std::size_t begin, std::size_t end, unsigned) {
        for (auto r = static_cast<std::int64_t>(begin); r < static_cast<std::int64_t>(end); ++r) {
          row(args.in[0].as<const float>() + r * n, args.out[0].as<float>() + r * n, n);
        }
      });
}

void softmax_run(const KernelArgs& args) {
  const auto exponentials = HWY_DYNAMIC_DISPATCH(exp_row);
  rows(args, [&](const float* x, float* y, std::int64_t n) {
    const float total = exponentials(x, *std::max_element(x, x + n), y, n);
    for (std::int64_t i = 0; i < n; ++i) y[i] /= total;
  });
}

void log_softmax_run(const KernelArgs& args) {
  const auto exponentials = HWY_DYNAMIC_DISPATCH(exp_row);
  rows(args, [&](const float* x, float* y, std::int64_t n) {
    const float top = *std::max_element(x, x + n);
    const float offset = top + std::log(exponentials(x, top, y, n));
    for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] - offset;
  });
}

double cost(const NodeSpec& node) {
  return simple_seconds(static_cast<double>(node.in[0].shape.elements()) * 3);
}

constexpr Kernel kRows[] = {
    {.op = OpKind::kSoftmax,
     .name = "softmax_rows",
     .accepts = all_f32,
     .cost = cost,
     .run = softmax_run},
    {.op = OpKind::kLogSoftmax,
     .name = "log_softmax_rows",
     .accepts = all_f32,
     .cost = cost,
     .run = log_softmax_run},
};

}  // namespace

std::span<const Kernel> softmax_kernels() { return kRows; }

}  // namespace inkling::cpu
#endif
