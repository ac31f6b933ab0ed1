// Any bytes as a client's stored state, with a true digest put at their end so that the parser
// behind it is reached.

#include "federated/secagg/client_state.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace inkling::secagg;
  inkling::ByteWriter record;
  record.raw({data, size});
  record.raw(hash_of({inkling::ByteSpan(data, size)}));
  const auto state = decode_state(record.bytes());
  if (state) INK_INVARIANT(decode_state(encode_state(*state)).has_value());
  return 0;
}
