// A matrix of four by four floats turned over in registers. Included once a target, as Highway's
// own -inl headers are.

#if defined(INK_TRANSPOSE_4X4_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef INK_TRANSPOSE_4X4_INL_H
#undef INK_TRANSPOSE_4X4_INL_H
#else
#define INK_TRANSPOSE_4X4_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {

// to[j][i] = from[i][j], with the floats from one row to the next.
HWY_INLINE void transpose_4x4(const float* from, std::int64_t from_step, float* to,
                              std::int64_t to_step) {
#if HWY_TARGET == HWY_SCALAR
  for (std::int64_t i = 0; i < 4; ++i) {
    for (std::int64_t j = 0; j < 4; ++j) to[j * to_step + i] = from[i * from_step + j];
  }
#else
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::FixedTag<float, 4> f;
  const hn::Repartition<double, decltype(f)> pairs;
  const auto a = hn::LoadU(f, from), b = hn::LoadU(f, from + from_step);
  const auto c = hn::LoadU(f, from + 2 * from_step), d = hn::LoadU(f, from + 3 * from_step);
  const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(f, a, b));
  const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(f, a, b));
  const auto cd_low = hn::BitCast(pairs, hn::InterleaveLower(f, c, d));
  const auto cd_high = hn::BitCast(pairs, hn::InterleaveUpper(f, c, d));
  hn::StoreU(hn::BitCast(f, hn::InterleaveLower(pairs, ab_low, cd_low)), f, to);
  hn::StoreU(hn::BitCast(f, hn::InterleaveUpper(pairs, ab_low, cd_low)), f, to + to_step);
  hn::StoreU(hn::BitCast(f, hn::InterleaveLower(pairs, ab_high, cd_high)), f, to + 2 * to_step);
  hn::StoreU(hn::BitCast(f, hn::InterleaveUpper(pairs, ab_high, cd_high)), f, to + 3 * to_step);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#endif
