#pragma once
// Reads one object of an R package's lazy-load database: FOLDER/Rdata.rdx says where each object
// lies in FOLDER/Rdata.rdb ("R Internals", section 1.18). Files come from anywhere and are treated
// as hostile. Errors: kNotFound (a file, or no object of that name), and those of read_rdata().

#include "convert/rdata/rdata.h"

namespace inkling {

// `stem` is the path without .rdx and .rdb.
Result<RValue> read_lazy_data(const Path& stem, std::string_view object,
                              const RLimits& limits = {});

}  // namespace inkling
