// Any bytes as what the messages carry inside: a packed vector, a set of clients, a share. The
// first two bytes choose the width and the count.

#include "federated/secagg/client_set.h"
#include "federated/secagg/masking.h"
#include "federated/secagg/packing.h"
#include "federated/secagg/shamir.h"

namespace {

using inkling::Bytes;
using inkling::ByteSpan;

// What passes the check unpacks to the ring values that pack to it again.
template <typename Lane>
void check_lanes(ByteSpan packed, std::size_t count, unsigned bits) {
  if (!inkling::secagg::check_packed(packed, count, bits)) return;
  std::vector<Lane> lanes(count);
  inkling::secagg::add_unpacked(packed, bits, std::span<Lane>(lanes));
  for (const Lane lane : lanes) INK_INVARIANT(bits == 8 * sizeof(Lane) || lane >> bits == 0);
  INK_INVARIANT(inkling::secagg::pack(std::span<const Lane>(lanes), bits) ==
                Bytes(packed.begin(), packed.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace inkling::secagg;
  if (size < 2) return 0;
  const unsigned bits = 8 + data[0] % 55;
  const std::size_t count = data[1];
  const ByteSpan rest(data + 2, size - 2);
  const ByteSpan packed = rest.first(std::min<std::size_t>(rest.size(), packed_bytes(count, bits)));
  if (lane_bits(bits) == 16) check_lanes<std::uint16_t>(packed, count, bits);
  if (lane_bits(bits) == 32) check_lanes<std::uint32_t>(packed, count, bits);
  if (lane_bits(bits) == 64) check_lanes<std::uint64_t>(packed, count, bits);
  if (const auto set = ClientSet::from_bytes(rest, data[1])) {
    INK_INVARIANT(set->bytes() == Bytes(rest.begin(), rest.end()));
    INK_INVARIANT(set->count() <= count);
  }
  if (rest.size() >= kShareBytes) {
    Secret<kShareBytes> value;
    std::copy_n(rest.begin(), kShareBytes, value.writable().begin());
    (void)check_share(rest.first<kShareBytes>());
    (void)join_limbs(value);
  }
  return 0;
}
