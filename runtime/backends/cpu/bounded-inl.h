// What a fused clamp does to a vector. Included once a target, as Highway's own -inl headers are.

#if defined(INK_BOUNDED_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef INK_BOUNDED_INL_H
#undef INK_BOUNDED_INL_H
#else
#define INK_BOUNDED_INL_H
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace inkling::cpu {
namespace HWY_NAMESPACE {

// min(max(v, low), high), and NaN stays NaN: a clamp must not hide that training went wrong. Of a
// NaN and a number, x86 gives the second operand, and Arm the number.
template <typename Vector>
HWY_INLINE Vector bounded(Vector v, Vector low, Vector high) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  return hn::Min(high, hn::Max(low, v));
#else
  v = hn::IfThenElse(hn::Lt(v, low), low, v);
  return hn::IfThenElse(hn::Lt(high, v), high, v);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace inkling::cpu
HWY_AFTER_NAMESPACE();

#endif
