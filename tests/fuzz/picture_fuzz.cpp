// Picture files of every kind.

#include "autograd/data/picture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto picture = inkling::decode_picture({data, size}, 3);
  if (picture && picture->size.bytes() < 1 << 20) (void)inkling::resize(*picture, 8, 8);
  return 0;
}
