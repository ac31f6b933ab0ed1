// What a server tells devices besides the messages of fl-sa/1.

#include "federated/task.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const inkling::Bytes bytes(data, data + size);
  (void)inkling::federated::decode_plan(bytes);
  (void)inkling::federated::decode_invitation(bytes);
  return 0;
}
