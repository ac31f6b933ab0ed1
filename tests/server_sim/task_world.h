#pragma once
// A federated task in one thread and virtual time: a Coordinator with its folder, and devices with
// theirs. A device's poll that finds no news fails as the network would, so every device is stopped
// and started again wherever it would have waited; and either side can be killed at any message.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "federated/participant.h"
#include "server-sim/coordinator/coordinator.h"
#include "tests/federated/test_entropy.h"

namespace inkling {

// Rounding that draws the same numbers every time it is asked: a device that is started again in
// one round rounds alike.
class SameEntropy final : public secagg::EntropySource {
 public:
  explicit SameEntropy(std::uint64_t index) : index_(index) {}
  Result<void> fill(std::span<std::uint8_t> out) override {
    return secagg::TestEntropy(77, index_).fill(out);
  }

 private:
  std::uint64_t index_;
};

struct TaskWorld;

struct TestDevice {
  secagg::Identity identity;
  std::vector<float> delta;
  std::uint32_t weight = 1;
  std::vector<double> metrics = {};
  secagg::Policy policy = {};
  privacy::Ledger* ledger = nullptr;
  std::optional<privacy::Budget> budget = {};
  std::unique_ptr<KeyValue> state;
  std::unique_ptr<secagg::TestEntropy> entropy;
  secagg::EntropySource* other_entropy = nullptr;  // instead of `entropy`
  std::unique_ptr<SameEntropy> rounding;

  // What it plays until, and what it came to.
  std::string dies_after = {};  // is never heard of again once this message is acknowledged
  bool dead = false;
  bool stops_at_each_message = true;    // the process ends between an acknowledgement and its use
  bool loses_acknowledgements = false;  // the first of each message
  std::set<secagg::Hash> delivered = {};
  int trained = 0;  // times
  int rounds_to_play = 1;
  std::vector<federated::Participation> played = {};
  std::optional<Error> error = {};  // the first that was not the network's

  bool finished() const { return dead || error || int(played.size()) >= rounds_to_play; }
};

struct TaskWorld {
  // Devices 0..count-1, each with a delta of its own, and a coordinator for cohorts of `count` of
  // which two may be lost.
  TaskWorld(const Path& folder, std::size_t count);

  void reopen();  // as after a crash: whatever was not on disk is gone
  Result<Coordinator> open_coordinator() const;
  // A device's request for a seat, by itself.
  Result<Bytes> join(std::size_t index);
  // One try of a device to go on.
  Result<federated::Participation> step(std::size_t index);
  // Steps the devices in turn until all have finished; when nobody moves, time passes to the next
  // deadline. False: it never ends.
  bool run();

  Bytes first_model() const;
  std::vector<float> parameters() const;  // of the global model
  // What the devices kept of what they masked in the attempt, added up.
  std::vector<std::uint64_t> plain_sum(const secagg::Attempt& attempt,
                                       const std::function<bool(std::size_t)>& counts) const;
  std::vector<RoundReport> reports() { return coordinator->reports().value(); }

  Path folder;
  CoordinatorSpec spec;
  VirtualClock clock;
  mutable secagg::TestEntropy server_entropy;
  std::optional<Coordinator> coordinator;
  std::deque<TestDevice> devices;

  std::size_t accepted = 0;  // messages, each once
  // Called once the coordinator has taken in a message, before the device hears of it.
  std::function<void(std::size_t accepted)> on_accepted;
  Bytes last_message;
  secagg::ClientId last_sender{};
};

std::string last_key();  // under which a device keeps its last attempt of the task
secagg::SigningKey task_authority();
secagg::ClientId device_id(std::size_t index);
secagg::Identity make_identity(const secagg::SigningKey& authority, secagg::Role role,
                               const secagg::ClientId& id);

}  // namespace inkling
