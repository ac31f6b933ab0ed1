#pragma once
// A group of clients whose updates are summed by the real machines of fl-sa/1, in one thread: keys,
// shares, masks and the unmasking all happen, and only the network is missing.

#include <cstdint>
#include <functional>
#include <vector>

#include "federated/secagg/config.h"

namespace inkling {

struct MaskedGroup {
  secagg::Config config;
  secagg::RoundIdentity identity;
  std::size_t reporting = 0;  // clients that play to the end
  std::size_t lost = 0;       // clients that are gone once they have shared their keys
};

// Ring values u64[config.input_length()] of reporting client i; called once each, in order.
using GroupInput = std::function<Result<std::vector<std::uint64_t>>(std::size_t i)>;

// The unmasked sum over the reporting clients. Keys and identities come from `entropy` and leave no
// trace in the sum. kProtocol: too few remained. Holds one masked vector at a time.
Result<std::vector<std::uint64_t>> sum_masked(const MaskedGroup& group, const GroupInput& input,
                                              secagg::EntropySource& entropy);

}  // namespace inkling
