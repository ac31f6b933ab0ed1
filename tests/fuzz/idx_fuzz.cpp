// The IDX reader, plain and gzip.

#include "autograd/data/idx.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)inkling::parse_idx_images({data, size});
  (void)inkling::parse_idx_labels({data, size});
  return 0;
}
