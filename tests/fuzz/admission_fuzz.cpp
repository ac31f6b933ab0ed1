// Any bytes as what a server reads before a round and between rounds: a join request, a list of
// revoked devices, a mechanism of the privacy ledger, an optimizer's state. The first byte chooses.

#include "federated/join_request.h"
#include "federated/privacy/mechanism.h"
#include "federated/revocation.h"
#include "server-sim/aggregator/server_optimizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace inkling;
  if (size == 0) return 0;
  const ByteSpan bytes(data + 1, size - 1);
  static const secagg::PublicKey authority =
      secagg::SigningKey::from_seed(secagg::Secret<32>()).public_key();
  switch (data[0] % 4) {
    case 0:
      INK_INVARIANT(!federated::check_join_request(bytes, authority, 0));
      break;
    case 1:
      INK_INVARIANT(!federated::decode_revocations(bytes, authority));
      break;
    case 2:
      if (const auto mechanism = privacy::decode_mechanism(bytes)) {
        INK_INVARIANT(privacy::encode_mechanism(*mechanism) == Bytes(bytes.begin(), bytes.end()));
      }
      break;
    default: {
      ServerOptimizer optimizer =
          ServerOptimizer::create({.rule = ServerRule::kFedYogi}, 3).value();
      if (optimizer.load(bytes)) {
        INK_INVARIANT(optimizer.save() == Bytes(bytes.begin(), bytes.end()));
      }
    }
  }
  return 0;
}
