// Any bytes as an R data file: an error or a value, within small limits.

#include "convert/rdata/rdata.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const inkling::RLimits limits{.file_bytes_max = 1 << 20, .memory_bytes_max = 1 << 24};
  const auto value = inkling::parse_rdata({data, size}, limits);
  if (value) {
    static_cast<void>(value->names());
    static_cast<void>(value->whole_numbers());
    static_cast<void>(value->matrix_extent());
  }
  return 0;
}
