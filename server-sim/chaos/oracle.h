#pragma once
// ChaosOracle: what must hold whatever the network, the clocks, the disks and the devices do.
//
//   exact sum      a round that ends well sums to scale * e_i over exactly its survivors, and moves
//                  the model by their mean: device i's update is the unit vector e_i
//   no both        of one client in one attempt, all that devices release are shares of its
//                  self-mask seed or shares of its pair key, never some of each
//   one answer     in one attempt a device sends one message of a kind, resends are byte-identical
//   nothing lost   what the server acknowledged is in its state after any crash: a message in the
//                  open attempt, an update in the sum, an attempt that members took part in, a
//                  round's result and the model that it announced
//
// It watches from outside: bytes on the wire, answers, and the coordinator's public state.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "federated/participant.h"
#include "server-sim/coordinator/coordinator.h"

namespace inkling {

class ChaosOracle {
 public:
  // `first_model`: the parameters before round 1, one for each device.
  ChaosOracle(const secagg::Config& config, std::vector<secagg::ClientId> devices,
              std::vector<float> first_model, const Bytes& first_bytes);

  // A device of its own accord sent these bytes to its attempt, whether or not they arrived.
  void sent(std::size_t device, const secagg::Attempt& attempt, ByteSpan message);
  // The server acknowledged them while the attempt was open.
  void acknowledged(std::size_t device, const secagg::Attempt& attempt, ByteSpan message);
  // A device was given a seat.
  void seated(const federated::Invitation& invitation);
  // A device played a round to its end.
  void finished(const federated::Participation& participation);
  // The server has done something, or, restarted: came back with what it had on disk.
  void look_at(Coordinator& coordinator, bool restarted);
  // Something else that must not happen.
  void broken(std::string what);

  const std::vector<std::string>& violations() const { return violations_; }

 private:
  void check_open(const Coordinator& coordinator);
  void check_report(const RoundReport& report);
  void check_model(const Coordinator& coordinator);

  struct Kinds {
    bool self_mask = false, pair_key = false;
  };
  using Kind = std::pair<secagg::Attempt, secagg::MessageType>;

  secagg::Config config_;
  std::vector<secagg::ClientId> devices_;
  std::vector<float> model_;                // as it must be now
  std::vector<secagg::Hash> model_hashes_;  // by round
  std::uint64_t version_seen_ = 0;
  std::map<std::pair<std::size_t, Kind>, secagg::Hash> sent_;
  std::map<std::pair<secagg::Attempt, std::uint32_t>, Kinds> released_;  // by owner's index
  std::map<Kind, std::set<std::size_t>> acknowledged_;
  std::map<secagg::Attempt, RoundReport> reports_;
  std::vector<std::string> violations_;
};

}  // namespace inkling
