// Any bytes as a message frame and as a config.

#include "federated/secagg/config.h"
#include "federated/secagg/envelope.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace inkling::secagg;
  const inkling::ByteSpan bytes(data, size);
  if (const auto envelope = open_envelope(bytes)) {
    INK_INVARIANT(kEnvelopeHeaderBytes + envelope->body.size() + envelope->raw.size() == size);
  }
  if (const auto config = decode_config(bytes)) {
    INK_INVARIANT(encode_config(*config) == inkling::Bytes(data, data + size));
  }
  return 0;
}
