#pragma once
// What this build is.

#include <string>

namespace inkling::tools {

// "inkling 0.1.0 (4930493)": the version and the commit, "unknown" outside a git checkout.
std::string version_text();

}  // namespace inkling::tools
