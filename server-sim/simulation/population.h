#pragma once
// Population: the devices of a simulation, each a pure function of (seed, client).
//
// A device has a speed, a bandwidth and hours of the day at which it is idle and charging; it may
// be lost in the middle of a round, and it may be hostile. A round over them runs on a virtual
// clock: play_round() says who is asked, who reports in time and how long that took, before
// anything is trained, so that only updates that count cost computing.

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

struct DeviceSpec {
  bool enabled = false;            // false: every device is there at once and takes no time
  double examples_per_s = 2000;    // median speed of local training
  double speed_sigma = 0.5;        // of the log-normal spread of speed
  double bytes_per_s = 1'000'000;  // median bandwidth, each way
  double bandwidth_sigma = 0.7;
  double available = 1.0;  // share of the day at which a device is idle and charging, 0..1
  double drop = 0.0;       // chance that a device is lost during a round, 0..1
};

enum class Attack : std::uint8_t { kNone, kLabelFlip, kSignFlip, kScale, kNoise };
// "none", "label_flip", "sign_flip", "scale" or "noise".
Result<Attack> attack_from(std::string_view name);

struct AttackSpec {
  Attack kind = Attack::kNone;
  double fraction = 0;   // of the population that is hostile
  double strength = 10;  // kScale and kSignFlip: factor; kNoise: standard deviation
};

// A pseudo-random order of 0..count - 1: what is at `place`. A Feistel network over the next power
// of four, walked until it ends below count (Black and Rogaway, "Ciphers with Arbitrary Finite
// Domains", CT-RSA 2002).
std::uint64_t shuffled(std::uint64_t seed, std::uint64_t count, std::uint64_t place);

struct CohortSpec {
  std::size_t size = 10;        // updates that a round waits for
  std::size_t size_min = 1;     // fewer than that: the round is abandoned
  double over_selection = 1.0;  // devices asked, per update wanted; >= 1
  double deadline_s = 3600;     // with devices
  // Nobody is asked twice: round r takes the r-th `size` of a random order. Without devices.
  bool once = false;
};

// What a device has to do in a round.
struct Workload {
  std::size_t epochs = 1;
  std::uint64_t bytes_down = 0, bytes_up = 0;
};

struct CohortOutcome {
  std::vector<std::uint64_t> reported;  // ascending; at most CohortSpec::size
  std::vector<std::uint64_t> lost;      // took work and did not report: dropped out or too late
  std::size_t asked = 0;
  double seconds = 0;     // virtual, from the first invitation to the last report
  bool complete = false;  // reported.size() >= size_min
};

// One device's part in a round.
struct DeviceTurn {
  double seconds = 0;  // from the invitation to the report
  bool is_lost = false;
};

class Population {
 public:
  // kInvalidArgument: a share outside 0..1, or a rate that is not positive.
  static Result<Population> create(std::uint64_t clients, std::uint64_t seed,
                                   const DeviceSpec& device, const AttackSpec& attack);

  std::uint64_t clients() const { return clients_; }
  const AttackSpec& attack() const { return attack_; }
  bool hostile(std::uint64_t client) const;
  bool available(std::uint64_t client, double now_s) const;

  // How the device fares with a workload and so many examples; its fate is a draw of `number`,
  // which with the same client occurs once.
  DeviceTurn turn_of(std::uint64_t number, std::uint64_t client, double examples,
                     const Workload& work) const;
  // One client that is available and not busy, a draw of `number`; none when none is found.
  std::optional<std::uint64_t> invite_one(
      std::uint64_t number, double now_s,
      const std::function<bool(std::uint64_t client)>& is_busy) const;

  // The cohort of a round that begins at virtual time now_s: clients drawn without replacement
  // among those that are available; the first `size` reports count, in order of arrival.
  // examples_of(client) gives how many examples a client trains on.
  template <typename ExamplesOf>
  CohortOutcome play_round(std::uint64_t round, double now_s, const CohortSpec& cohort,
                           const Workload& work, const ExamplesOf& examples_of) const {
    std::vector<std::uint64_t> invited = invite(round, now_s, cohort);
    std::vector<double> examples;
    if (device_.enabled)
      for (const std::uint64_t client : invited)
        examples.push_back(static_cast<double>(examples_of(client)));
    return outcome(round, cohort, work, std::move(invited), examples);
  }

 private:
  Population(std::uint64_t clients, std::uint64_t seed, const DeviceSpec& device,
             const AttackSpec& attack)
      : clients_(clients), seed_(seed), device_(device), attack_(attack) {}
  std::vector<std::uint64_t> invite(std::uint64_t round, double now_s,
                                    const CohortSpec& cohort) const;
  CohortOutcome outcome(std::uint64_t round, const CohortSpec& cohort, const Workload& work,
                        std::vector<std::uint64_t> invited,
                        const std::vector<double>& examples) const;

  std::uint64_t clients_, seed_;
  DeviceSpec device_;
  AttackSpec attack_;
};

}  // namespace inkling
