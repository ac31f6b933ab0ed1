#pragma once
// Who shares masks and secrets with whom: the k-regular graph of Bell et al., "Secure Single-Server
// Aggregation with (Poly)Logarithmic Overhead" (CCS'20), and the threshold t of the secret sharing.
//
// Clients sit on a ring in an order drawn from the roster's hash; each is linked to the k/2 on
// either side. A small cohort, or one for which no k suffices, uses the complete graph.
// Known limit: a malicious server can choose among rosters until the drawn order suits it. Client
// certificates bound what it gains; client-chosen neighbours would remove it.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "federated/secagg/config.h"

namespace inkling::secagg {

struct GraphShape {
  std::uint32_t degree = 0;     // k: neighbours of each client
  std::uint32_t threshold = 0;  // t: shares that reconstruct, of the k + 1 holders
  bool operator==(const GraphShape&) const = default;
};

// The smallest even k and its t such that, with n clients of whom gamma are corrupt and delta drop
// out, but for probability 2^-40 the honest survivors stay connected and no client has t corrupt
// holders, and but for 2^-20 every client keeps t surviving holders. nullopt when no k < n - 1
// does.
std::optional<GraphShape> sparse_graph_shape(std::uint32_t n, std::uint32_t gamma_ppm,
                                             std::uint32_t delta_ppm, bool semi_malicious);

// The shape that both sides must arrive at for a cohort of n under this config. kProtocol when even
// the complete graph has no threshold below n + 1.
Result<GraphShape> graph_shape(std::uint32_t n, const Config& config);

class Graph {
 public:
  Graph() = default;
  Graph(std::uint32_t n, const GraphShape& shape, const Hash& roster_hash);

  // Neighbours of a client, ascending.
  std::vector<std::uint32_t> neighbours(std::uint32_t index) const;
  // Neighbours and the client itself, ascending: share j of a client's secrets goes to holder j.
  std::vector<std::uint32_t> holders(std::uint32_t index) const;
  // The position of holder among the holders of owner, nullopt if it is none.
  std::optional<std::uint32_t> holder_position(std::uint32_t owner, std::uint32_t holder) const;

  // The clients in ring order.
  std::span<const std::uint32_t> ring() const { return ring_; }

 private:
  std::uint32_t degree_ = 0;
  std::vector<std::uint32_t> ring_;      // position -> client
  std::vector<std::uint32_t> position_;  // client -> position
};

}  // namespace inkling::secagg
