#pragma once
// The cohort of a round as both sides agree on it: members in index order, graph and threshold.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "federated/secagg/client_set.h"
#include "federated/secagg/messages.h"

namespace inkling::secagg {

struct Member {
  ClientId id{};
  PublicKey identity_key{};
  PublicKey c_pk{};
  PublicKey s_pk{};
  Hash commitment{};
};

// SHA-256 over "fl-sa/1/roster", ctx, the row count, and each row's digest and signature.
Hash roster_hash_of(const Hash& ctx, std::span<const RosterRow> rows);

class Roster {
 public:
  Roster() = default;

  // Everything but signatures: n_min <= rows <= n_max, distinct ids, identity keys and round keys,
  // the hash, and degree and threshold as this side evaluates them. kProtocol or kCorrupt.
  static Result<Roster> read(const RosterMessage& message, const Hash& ctx, const Config& config);

  std::uint32_t size() const { return static_cast<std::uint32_t>(members_.size()); }
  const Member& member(std::uint32_t index) const { return members_[index]; }
  std::optional<std::uint32_t> index_of(const ClientId& id) const;
  const Graph& graph() const { return graph_; }
  std::uint32_t threshold() const { return threshold_; }
  const Hash& hash() const { return hash_; }

  // How many of owner's holders, itself included, are in the set.
  std::uint32_t holders_in(std::uint32_t owner, const ClientSet& set) const;

 private:
  std::vector<Member> members_;
  Graph graph_;
  std::uint32_t threshold_ = 0;
  Hash hash_{};
};

// Certificates and signatures of all rows. kVerification naming the first bad row.
Result<void> check_roster_signatures(const RosterMessage& message, const Hash& ctx,
                                     const PublicKey& authority, std::int64_t now_ms);

}  // namespace inkling::secagg
