// The ONNX importer on arbitrary bytes.

#include "convert/onnx/import.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)inkling::onnx_import::import_model({data, size});
  return 0;
}
