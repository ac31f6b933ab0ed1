#pragma once
// Chaos: whole federated tasks under seeded faults, thousands of them, watched by an oracle.
//
// One seed is one task of a few devices and rounds: the real coordinator, machines of secure
// aggregation, participants and SQLite files (world.h), under loss, duplication, reordering, delay,
// partitions, crashes of either side at any write, clock skew and byzantine bytes (faults.h). What
// must hold meanwhile is in oracle.h. A seed replays to the byte.
//
// Not modelled: power loss, and a byzantine device that masks another vector than its own, which
// no aggregation protocol can tell from an honest one.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/sha256.h"

namespace inkling {

struct ChaosCounts {
  std::uint64_t exchanges = 0, lost = 0, duplicated = 0, delayed = 0, corrupted = 0, lies = 0;
  std::uint64_t partitions = 0, device_crashes = 0, server_crashes = 0, cancels = 0;
  std::uint64_t rounds = 0, aborted_attempts = 0;
  ChaosCounts& operator+=(const ChaosCounts& other);
};

struct ChaosRun {
  std::uint64_t seed = 0;
  std::vector<std::string> violations;  // of invariants; empty: all held
  ChaosCounts counts;
  std::int64_t virtual_ms = 0;
  Sha256Digest digest{};           // of everything that happened
  std::vector<std::string> trace;  // the same as lines, when kept
};

// folder: where the seed's files go, erased afterwards. keeps_trace: for a replay.
Result<ChaosRun> run_chaos(std::uint64_t seed, const Path& folder, bool keeps_trace = false);

// The seeds first..last on `threads` threads. on_run is called for each seed, from any of them, one
// at a time.
struct ChaosSpec {
  std::uint64_t first = 0, last = 0;
  unsigned threads = 1;
  Path folder;
};
Result<ChaosCounts> run_chaos(const ChaosSpec& spec,
                              const std::function<void(const ChaosRun&)>& on_run);

}  // namespace inkling
