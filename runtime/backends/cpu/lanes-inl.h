// Vectors of floats that may be cut short by the end of the data. Included once a target, as
// Highway's own -inl headers are.

#if defined(INK_LANES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef INK_LANES_INL_H
#undef INK_LANES_INL_H
#else
#define INK_LANES_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {

inline constexpr hwy::HWY_NAMESPACE::ScalableTag<float> kTag;
using V = hwy::HWY_NAMESPACE::Vec<decltype(kTag)>;

// count is a full vector, or what is left of the data.
HWY_INLINE V load_some(const float* p, std::int64_t count) {
  namespace hn = hwy::HWY_NAMESPACE;
  if (count == static_cast<std::int64_t>(hn::Lanes(kTag))) return hn::LoadU(kTag, p);
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)] = {};
  std::copy_n(p, count, lanes);
  return hn::Load(kTag, lanes);
}

HWY_INLINE void store_some(V v, float* p, std::int64_t count) {
  namespace hn = hwy::HWY_NAMESPACE;
  if (count == static_cast<std::int64_t>(hn::Lanes(kTag))) {
    hn::StoreU(v, kTag, p);
    return;
  }
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, kTag, lanes);
  std::copy_n(lanes, count, p);
}

}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#endif
