#pragma once
// What `inkling simulate --chaos` does: whole federated tasks under seeded faults
// (server-sim/chaos/chaos.h), and a way to replay one that broke.

#include <string_view>

#include "runtime/base/result.h"
#include "tools/console.h"

namespace inkling::tools {

// seeds: "FIRST..LAST", both played. One seed alone is a replay, and prints what happened in it.
// kVerification: an invariant broke. kInvalidArgument: not of that form.
Result<void> simulate_chaos(std::string_view seeds, Console& console);

}  // namespace inkling::tools
