#include <hwy/targets.h>

#include <cstring>

#include "runtime/kernel_choice.h"

#if HWY_ARCH_X86
#include <cpuid.h>
#endif

namespace inkling {

namespace {

#if HWY_ARCH_X86
// "Intel(R) Xeon(R) ...": three leaves of sixteen characters.
std::string brand() {
  constexpr unsigned kFirstLeaf = 0x80000002u, kLeaves = 3;
  char text[16 * kLeaves + 1] = {};
  for (unsigned i = 0; i < kLeaves; ++i) {
    unsigned part[4] = {};
    if (!__get_cpuid(kFirstLeaf + i, &part[0], &part[1], &part[2], &part[3])) return "x86";
    std::memcpy(text + 16 * i, part, sizeof part);
  }
  std::string name(text);
  const auto first = name.find_first_not_of(' ');
  return first == std::string::npos ? "x86"
                                    : name.substr(first, name.find_last_not_of(' ') + 1 - first);
}
#else
std::string brand() { return HWY_ARCH_ARM ? "Arm" : "CPU"; }  // these do not tell programs
#endif

}  // namespace

std::string cpu_name() {
  const std::int64_t targets = hwy::SupportedTargets();
  // A better set of instructions has a lower bit.
  return concat(brand(), ", ", hwy::TargetName(targets & -targets));
}

}  // namespace inkling
