#pragma once
// What report.html says of runs: curves of each, and of a sweep side by side.

#include <span>
#include <string>
#include <vector>

#include "tools/report.h"
#include "tools/simulation/run.h"
#include "tools/simulation/sweep.h"

namespace inkling::tools {

// variants[i] was run as runs[i].
Report make_simulation_report(const std::string& experiment, std::span<const Variant> variants,
                              std::span<const RunResult> runs);

}  // namespace inkling::tools
