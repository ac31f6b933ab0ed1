#pragma once
// ChaosWorld: one federated task under faults: the real coordinator, secure aggregation machines,
// participants and storage, in one thread, on a virtual clock, over a network that is a function
// call.
//
// Everything that happens is a function of the seed: faults, clocks, keys, rounding. Devices are
// processes: where one would wait it is stopped, and started again from its files. After a while
// the faults end and every round has to be finished.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "federated/participant.h"
#include "server-sim/chaos/chaos.h"
#include "server-sim/chaos/crash_disk.h"
#include "server-sim/chaos/faults.h"
#include "server-sim/chaos/oracle.h"
#include "server-sim/coordinator/coordinator.h"

namespace inkling {

// Keys and rounding from the seed, so that a failing seed replays to the byte. It lives in the
// chaos test alone, whose keys protect nobody.
class ReplayEntropy final : public secagg::EntropySource {
 public:
  ReplayEntropy(std::uint64_t seed, std::string_view purpose, std::uint64_t index)
      : rng_(seed, purpose, index) {}
  Result<void> fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(rng_.next_u32());
    return {};
  }

 private:
  Rng rng_;
};

// A clock that is off by as much as it is told.
class SkewedClock final : public Clock {
 public:
  explicit SkewedClock(const Clock& base) : base_(base) {}
  std::int64_t unix_ms() const override { return base_.unix_ms() + offset_ms; }
  std::int64_t steady_ms() const override { return base_.steady_ms(); }
  std::int64_t offset_ms = 0;

 private:
  const Clock& base_;
};

struct ChaosDevice {
  std::size_t index = 0;
  secagg::Identity identity;
  CrashDisk disk;
  std::unique_ptr<SkewedClock> clock;
  std::unique_ptr<ReplayEntropy> entropy;
  std::optional<KeyValue> state = {};  // none while it is down
  bool is_crashed = false;             // in the step at hand: nothing of it leaves any more
  bool is_cut_off = false;             // by a partition
  bool is_byzantine = false;
  bool is_finished = false;                    // was told that all rounds are done
  std::optional<std::uint64_t> waits_at = {};  // the server's version that had no news for it
  std::map<std::string, std::vector<Bytes>> answers = {};  // earlier ones, by path
};

// How a request came to the server: its device hears the answer, or has long given up on it, or
// never sent that.
enum class Copy { kLive, kLate, kForged };

class ChaosWorld {
 public:
  static Result<std::unique_ptr<ChaosWorld>> create(std::uint64_t seed, const Path& folder,
                                                    bool keeps_trace);

  // Plays to the end. An error is of the machine that the test runs on.
  Result<ChaosRun> run();

 private:
  friend class ChaosWire;
  ChaosWorld(std::uint64_t seed, bool keeps_trace);
  void choose_task();
  Result<void> add_devices(const Path& folder);

  bool strikes(double chance) { return chance > 0 && rng_.uniform() < chance; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(high - low + 1)));
  }
  void at(std::int64_t delay_ms, std::function<void()> act);
  template <typename... Parts>
  void note(const Parts&... parts) {
    add_note(concat(parts...));
  }
  void add_note(const std::string& line);

  void step(std::size_t index);
  std::int64_t settle_step(ChaosDevice& device,
                           const Result<federated::Participation>& participation);
  void crash(ChaosDevice& device);
  void skew(ChaosDevice& device);
  void split_network();

  void start_server();
  void crash_server();
  void stop_server();
  void tick_server();
  std::int64_t server_now_ms() const { return clock_.unix_ms() + server_offset_ms_; }
  // A request as it arrives at the server.
  Result<Bytes> serve(std::size_t index, const std::string& path, const Bytes& body, Copy copy);
  Result<Bytes> dispatch(std::size_t index, const std::string& path, const Bytes& body, Copy copy);

  void heal();
  bool is_over() const;

  std::uint64_t seed_;
  Rng rng_;
  ChaosFaults faults_;
  VirtualClock clock_;
  std::multimap<std::int64_t, std::function<void()>> events_;
  CoordinatorSpec spec_;
  secagg::PublicKey authority_{};
  Bytes first_model_;
  std::optional<ChaosOracle> oracle_;
  std::deque<ChaosDevice> devices_;
  std::optional<CrashDisk> server_disk_;
  std::optional<Coordinator> server_;  // none while it is down
  std::unique_ptr<ReplayEntropy> server_entropy_;
  std::int64_t server_offset_ms_ = 0;
  std::int64_t heals_at_ms_ = 0;
  bool is_healed_ = false;
  bool keeps_trace_ = false;
  Sha256 trace_digest_;
  ChaosRun run_;
};

}  // namespace inkling
