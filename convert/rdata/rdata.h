#pragma once
// Reads what R's save() and saveRDS() write: XDR serialisation, version 2 or 3 ("R Internals",
// section 1.8), plain or compressed. Files come from anywhere and are treated as hostile.
//
// An .rda or .RData file gives a list with the names of the saved objects; an .rds file gives its
// value. Errors: kCorrupt (what is wrong and at which byte), kUnsupported (another serialisation,
// byte code), kResourceLimit (a limit below), and those of read_file.

#include "convert/rdata/value.h"
#include "runtime/base/file.h"

namespace inkling {

struct RLimits {
  int depth_max = 64;                                     // lists within lists
  std::size_t file_bytes_max = std::size_t{256} << 20;    // after decompression
  std::size_t memory_bytes_max = std::size_t{512} << 20;  // of the tree
};

Result<RValue> parse_rdata(ByteSpan file, const RLimits& limits = {});
Result<RValue> read_rdata(const Path& file, const RLimits& limits = {});

}  // namespace inkling
