#pragma once
// A sweep: the combinations of values that settings take.

#include <functional>
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

// Calls run(i) for each i below `count`, in order, up to `jobs` at a time. Once one has failed none
// begins, and its error is returned.
Result<void> run_in_parallel(std::size_t count, unsigned jobs,
                             const std::function<Result<void>(std::size_t)>& run);

}  // namespace inkling::tools
