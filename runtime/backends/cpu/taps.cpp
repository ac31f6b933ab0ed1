// Vectors run over channels; the last vector of a pixel overlaps the one before it, so that no
// channel count needs a tail. Kernels of width three, which is nearly all of them, sum several
// neighbours at once: each weight and each source pixel is loaded once for all.

#include "runtime/backends/cpu/taps.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/backends/cpu/taps.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/backends/cpu/bounded-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <typename Tag>
bool sum_singly(Tag tag, const Taps& taps, Run run, const float* weights, std::int64_t channels,
                const ops::Epilogue<float>& epilogue) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  if (channels < lanes) return false;
  const auto low = hn::Set(tag, epilogue.low), high = hn::Set(tag, epilogue.high);
  for (std::int64_t i = 0; i < run.pixels; ++i, run.from += run.step, run.to += channels) {
    for (std::int64_t next = 0; next < channels; next += lanes) {
      const std::int64_t c = std::min(next, channels - lanes);
      auto acc = epilogue.bias ? hn::LoadU(tag, epilogue.bias + c) : hn::Zero(tag);
      for (std::size_t t = 0; t < taps.count; ++t) {
        acc = hn::MulAdd(hn::LoadU(tag, run.from + taps.tap[t].from + c),
                         hn::LoadU(tag, weights + taps.tap[t].weight + c), acc);
      }
      hn::StoreU(bounded(acc, low, high), tag, run.to + c);
    }
  }
  return true;
}

// Whether the taps come in threes that read neighbours in a row: from left to right (1), from right
// to left (-1), or not (0).
int direction_of_threes(const Taps& taps, std::int64_t channels) {
  if (taps.count == 0 || taps.count % 3 != 0) return 0;
  const std::int64_t step = taps.tap[1].from - taps.tap[0].from;
  if (step != channels && step != -channels) return 0;
  for (std::size_t t = 0; t < taps.count; t += 3) {
    for (std::size_t i = t; i < t + 2; ++i) {
      if (taps.tap[i + 1].from - taps.tap[i].from != step ||
          taps.tap[i + 1].weight - taps.tap[i].weight != channels)
        return 0;
    }
  }
  return step > 0 ? 1 : -1;
}

// kPixels neighbours whose places lie kStride source pixels apart; their taps come in threes.
template <int kPixels, int kStride>
void sum_threes(const Taps& taps, const Run& run, const float* weights, std::int64_t channels,
                int direction, const ops::Epilogue<float>& epilogue) {
  const hn::ScalableTag<float> d;
  using Vec = hn::Vec<decltype(d)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto low = hn::Set(d, epilogue.low), high = hn::Set(d, epilogue.high);
  const std::size_t first = direction > 0 ? 0 : 2;  // of a three, the one furthest left
  for (std::int64_t next = 0; next < channels; next += lanes) {
    const std::int64_t c = std::min(next, channels - lanes);
    const Vec bias = epilogue.bias ? hn::LoadU(d, epilogue.bias + c) : hn::Zero(d);
    Vec acc[kPixels];
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) acc[p] = bias;
    for (std::size_t t = first; t < taps.count; t += 3) {
      const float* from = run.from + taps.tap[t].from + c;
      const float* weight = weights + taps.tap[t].weight + c;
      Vec w[3];
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) w[j] = hn::LoadU(d, weight + direction * j * channels);
#pragma GCC unroll 17
      for (int q = 0; q < (kPixels - 1) * kStride + 3; ++q) {
        const Vec x = hn::LoadU(d, from + q * channels);
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) {  // q is the tap j of pixel (q - j) / kStride
          if (q >= j && (q - j) % kStride == 0 && (q - j) / kStride < kPixels)
            acc[(q - j) / kStride] = hn::MulAdd(x, w[j], acc[(q - j) / kStride]);
        }
      }
    }
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p)
      hn::StoreU(bounded(acc[p], low, high), d, run.to + p * channels + c);
  }
}

template <int kStride>
void sum_run_of_threes(const Taps& taps, Run run, const float* weights, std::int64_t channels,
                       int direction, const ops::Epilogue<float>& epilogue) {
  const auto sum = [&]<int kPixels>() {
    for (; run.pixels >= kPixels; run.pixels -= kPixels) {
      sum_threes<kPixels, kStride>(taps, run, weights, channels, direction, epilogue);
      run.from += kPixels * run.step;
      run.to += kPixels * channels;
    }
  };
  sum.template operator()<8>();
  sum.template operator()<4>();
  sum.template operator()<2>();
  sum.template operator()<1>();
}

void sum(const Taps& taps, const Run& run, const float* weights, std::int64_t channels,
         const ops::Epilogue<float>& epilogue) {
  if (run.pixels > 1 &&
      channels >= static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<float>())) &&
      (run.step == channels || run.step == 2 * channels)) {
    const int direction = direction_of_threes(taps, channels);
    if (direction != 0 && run.step == channels)
      return sum_run_of_threes<1>(taps, run, weights, channels, direction, epilogue);
    if (direction != 0)
      return sum_run_of_threes<2>(taps, run, weights, channels, direction, epilogue);
  }
  if (sum_singly(hn::ScalableTag<float>(), taps, run, weights, channels, epilogue)) return;
  if (sum_singly(hn::CappedTag<float, 8>(), taps, run, weights, channels, epilogue)) return;
  if (sum_singly(hn::CappedTag<float, 4>(), taps, run, weights, channels, epilogue)) return;
  sum_singly(hn::CappedTag<float, 1>(), taps, run, weights, channels, epilogue);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inkling::cpu {

HWY_EXPORT(sum);

void sum_taps(const Taps& taps, const Run& run, const float* weights, std::int64_t channels,
              const ops::Epilogue<float>& epilogue) {
  HWY_DYNAMIC_DISPATCH(sum)(taps, run, weights, channels, epilogue);
}

}  // namespace inkling::cpu
#endif
