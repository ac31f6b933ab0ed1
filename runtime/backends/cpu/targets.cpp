// The functions that Highway's headers ask its library for, so that an app needs no such library.
//
// The whole build renames Highway's namespace (runtime/CMakeLists.txt), so what stands here meets
// no other Highway in the app, whatever its version.

#include <hwy/targets.h>

#include <atomic>

#if HWY_ARCH_X86
#include <cpuid.h>
#endif

namespace hwy {

// Starts as "not looked yet" without running code when the program is loaded.
ChosenTarget& GetChosenTarget() {
  static constinit ChosenTarget chosen;
  return chosen;
}

namespace {

constinit std::atomic<int64_t> pretended{0};  // 0: what the CPU has

#if HWY_ARCH_X86

constexpr unsigned kF16cBit = 1u << 29;  // leaf 1, ecx
constexpr unsigned kLzcntBit = 1u << 5;  // leaf 0x80000001, ecx

bool has(unsigned leaf, unsigned ecx_bit) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(leaf, &a, &b, &c, &d) != 0 && (c & ecx_bit) != 0;
}

// What each set of instructions stands for in Highway; the built-in also asks whether the operating
// system saves the registers.
int64_t cpu_targets() {
  __builtin_cpu_init();
  int64_t targets = HWY_ENABLED_BASELINE;
  if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("aes") ||
      !__builtin_cpu_supports("pclmul"))
    return targets;
  targets |= HWY_SSE4;
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2") || !has(1, kF16cBit) ||
      !has(0x80000001u, kLzcntBit))
    return targets;
  targets |= HWY_AVX2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd"))
    targets |= HWY_AVX3;
  return targets;
}

#else

// What the compiler was told that every such CPU has: NEON, or WebAssembly's SIMD.
int64_t cpu_targets() { return HWY_ENABLED_BASELINE; }

#endif

}  // namespace

int64_t SupportedTargets() {
  const int64_t targets = pretended.load();
  return targets != 0 ? targets : cpu_targets();
}

void SetSupportedTargetsForTest(int64_t targets) {
  pretended.store(targets);
  GetChosenTarget().DeInit();
}

}  // namespace hwy
