// The TensorFlow Lite importer.

#include "convert/tflite/import.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)inkling::tflite_import::import_model({data, size});
  return 0;
}
