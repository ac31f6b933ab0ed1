#pragma once
// A whole round in one place: an authority, a server and n clients with known inputs, and the
// records that a real host would have kept.

#include <functional>
#include <map>
#include <vector>

#include "federated/secagg/client.h"
#include "server-sim/secagg/secagg_server.h"
#include "tests/federated/test_entropy.h"

namespace inkling::secagg {

inline constexpr std::int64_t kNow = 1'700'000'000'000;
inline constexpr std::int64_t kExpiry = kNow + 1'000'000'000;

SigningKey signing_key(std::uint64_t seed, std::string_view purpose);
ClientId client_id(std::size_t index);  // ascending with the index, so roster order is index order

// n clients all needed unless the caller changes n_min or delta.
Config small_config(std::uint32_t n);

struct World {
  explicit World(const Config& config, std::size_t clients, std::uint64_t seed = 1);

  Identity identity_of(std::size_t index) const;
  ServerSetup server_setup() const;
  Client make_client(std::size_t index) const;

  // What the server has for client i goes to it, and its answer back. The client's message.
  Result<Bytes> exchange(std::size_t index);
  // exchange() for everybody, then the phase is closed if it is still open.
  void run_phase();
  void run_phase(const std::function<bool(std::size_t)>& takes_part);
  void run_until(ServerPhase phase);

  std::vector<std::uint64_t> expected_sum(const std::function<bool(std::size_t)>& counts) const;

  Config config;
  std::uint64_t seed;
  RoundIdentity round;
  PublicKey authority;
  mutable std::vector<TestEntropy> entropy;
  Server server;
  std::vector<Client> clients;
  std::vector<std::vector<std::uint64_t>> inputs;
  std::vector<Bytes> journal;      // of the server
  std::vector<Unmask> unmasks;     // all that clients released
  std::vector<Bytes> last_answer;  // of each client
};

}  // namespace inkling::secagg
