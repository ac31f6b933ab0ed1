#pragma once
// Reads a data file that an R package of Debian installs.

#include "convert/rdata/rdata.h"

namespace inkling {

// The object of that name. kNotFound: "camera: FILE is missing: apt install PACKAGE".
Result<RValue> read_packaged(std::string_view object, std::string_view package, const Path& file);

}  // namespace inkling
