#pragma once
// ShareJoiner: rebuilds secrets from the shares that clients released, some of which may be lies.

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "federated/secagg/shamir.h"

namespace inkling::secagg {

// Subsets of the shares that are tried before a secret counts as lost.
inline constexpr int kSubsetTriesMax = 2000;

struct GivenShare {
  std::uint32_t holder = 0;  // roster index of who gave it
  std::uint32_t x = 0;       // where the owner's polynomial was evaluated
  ShareBytes share{};        // has passed check_share
};

struct JoinedSecret {
  Secret<32> secret;
  std::vector<std::uint32_t> liars;  // holders whose share is off the owner's polynomial
};

class ShareJoiner {
 public:
  using Check = std::function<bool(const Secret<32>&)>;

  // The secret of which check approves, from some threshold of the shares. Liars are named only
  // when the first subset fails, i.e. when it mattered. kVerification when no tried subset gives
  // an approved secret, kProtocol when there are fewer shares than the threshold.
  Result<JoinedSecret> join(std::span<const GivenShare> shares, std::uint32_t threshold,
                            const Check& check);

 private:
  Result<Secret<kShareBytes>> value_at(std::span<const GivenShare> shares, std::uint32_t x);
  Result<std::vector<std::uint32_t>> off_polynomial(std::span<const GivenShare> good,
                                                    std::span<const GivenShare> all);

  // One set of responders holds many secrets: its weights are made once.
  std::map<std::vector<std::uint32_t>, std::vector<std::uint64_t>> weights_;
};

}  // namespace inkling::secagg
