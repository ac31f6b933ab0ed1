#pragma once
// Transport: how a participant's bytes reach the server and the answer comes back. The protocol
// machines do no I/O; whoever drives them owns a Transport (HTTPS in production, a function call in
// the simulator). One thread at a time.

#include <cstdint>
#include <string_view>

#include "runtime/base/bytes.h"

namespace inkling {

class Transport {
 public:
  virtual ~Transport() = default;

  // Sends body to path and returns the answer's body. timeout_ms bounds the whole exchange.
  // kNetwork: nothing is known about whether the server saw the request; send the same bytes again
  // (after a pause that the caller chooses) or give up. Any other code: the server, or a limit,
  // refused, and the same bytes would be refused again.
  virtual Result<Bytes> exchange(std::string_view path, ByteSpan body, std::int64_t timeout_ms) = 0;
};

}  // namespace inkling
