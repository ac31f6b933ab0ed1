// Any bytes as each kind of message body: the first byte chooses. What decodes, encodes to the same
// number of bytes and decodes again.

#include "federated/secagg/messages.h"

namespace {

using inkling::Bytes;

template <typename Decode, typename Encode>
void check(const Bytes& body, const Decode& decode, const Encode& encode) {
  const auto message = decode(body);
  if (!message) return;
  const Bytes again = encode(*message);
  INK_INVARIANT(again.size() == body.size());
  INK_INVARIANT(decode(again).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace inkling::secagg;
  if (size == 0) return 0;
  const Bytes body(data + 1, data + size);
  switch (data[0] % 11) {
    case 0:
      check(body, decode_offer, encode_offer);
      break;
    case 1:
      check(body, decode_advertise, encode_advertise);
      break;
    case 2:
      check(body, decode_roster, encode_roster);
      break;
    case 3:
      check(body, decode_shares, encode_shares);
      break;
    case 4:
      check(body, decode_inbox, encode_inbox);
      break;
    case 5:
      check(body, decode_masked, encode_masked);
      break;
    case 6:
      check(body, decode_survivors, encode_survivors);
      break;
    case 7:
      check(body, decode_confirm, encode_confirm);
      break;
    case 8:
      check(body, decode_confirmations, encode_confirmations);
      break;
    case 9:
      check(body, decode_unmask, encode_unmask);
      break;
    default:
      check(body, decode_result, encode_result);
  }
  return 0;
}
