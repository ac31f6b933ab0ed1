#pragma once
// A sweep: the combinations of values that settings take.

#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace inkling::tools {

inline constexpr std::size_t kVariantsMax = 1000;

struct Variant {
  std::string name;                   // a folder name, "alpha=0.1,name=fedavg"; empty: no sweep
  std::vector<std::string> settings;  // KEY=VALUE
};

// sweeps: "KEY=A,B,...", each. The last one varies fastest. One nameless variant without sweeps.
// kInvalidArgument: not of that form, or more than kVariantsMax combinations.
Result<std::vector<Variant>> expand_sweep(std::span<const std::string> sweeps);

}  // namespace inkling::tools
