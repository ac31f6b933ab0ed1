#pragma once
// Ledger: what has left a device, for its owner to read, in SQLite.
//
// Append-only: there is no call that changes or removes an entry, and every entry carries the
// digest of the one before it, so that a changed file is noticed (kCorrupt) unless all that follows
// was forged, too. Each call is one durable transaction; the owner may read the file with any
// SQLite tool (table `entries`). One thread at a time.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "federated/privacy/accountant.h"
#include "storage/database.h"

namespace inkling::privacy {

struct LedgerEntry {
  std::int64_t when_ms = 0;  // Unix time
  std::array<std::uint8_t, 16> task{};
  std::uint64_t round = 0;
  std::uint32_t attempt = 0;
  std::string what;                    // in words, e.g. "masked update of 1290 parameters"
  std::uint64_t bytes = 0;             // that left the device with it
  std::uint32_t cohort_min = 0;        // fewest others to hide among, this device included
  std::optional<Mechanism> mechanism;  // nullopt: masked, but without noise
};

class Ledger {
 public:
  // Opens or creates the file, and checks it whole.
  static Result<Ledger> open(const Path& path);

  // Of one attempt once: an entry that is there already is kept, so that a device that is stopped
  // between writing and sending may write again. kInvalidArgument as check_mechanism.
  Result<void> append(const LedgerEntry& entry);
  Result<std::vector<LedgerEntry>> entries();  // oldest first

  // All uses of one task with noise so far. has_unprotected: it also has entries without noise,
  // whose epsilon is infinite against whoever learns the others' updates.
  struct TaskUses {
    Accountant accountant;
    bool has_unprotected = false;
  };
  Result<TaskUses> uses_of(const std::array<std::uint8_t, 16>& task);

 private:
  explicit Ledger(Database database) : database_(std::move(database)) {}
  Database database_;
};

// "none", or the mechanism with its parameters, in one line.
std::string describe(const std::optional<Mechanism>& mechanism);

}  // namespace inkling::privacy
