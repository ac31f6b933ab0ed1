#pragma once
// BehaviorLog: what this person was shown and what they did, on this device only.
//
// append() returns after the commit: the rows survive the end of the process (with
// LogOptions::survives_power_loss also a power loss; without it a power loss undoes at most the
// last appends, whole appends at a time). Retention is enforced inside the same transaction, so
// the caps hold after every append, whatever happens next.
//
// Every row carries a checksum, because SQLite alone notices only two of three flipped bits: a
// damaged row is counted and never visited. A file that SQLite cannot read is renamed aside, a
// fresh log takes its place, and quarantine() tells: ranking goes on with an empty history.
//
// forget_*() and erase_all() leave nothing behind in the file, its -wal or its -shm; quarantined
// files, which cannot be searched, are deleted by any of them.
//
// One thread at a time uses a BehaviorLog; other BehaviorLogs may read the same file meanwhile.

#include <functional>
#include <limits>
#include <optional>

#include "runtime/base/clock.h"
#include "storage/database.h"

namespace inkling {

using UserId = std::uint64_t;
using ItemId = std::uint64_t;
using RequestId = std::uint64_t;

// Stored by number: never renumber, only append.
enum class EventKind : std::uint8_t {
  kImpression = 1,
  kClick,
  kOpenDetail,
  kLike,
  kComment,
  kShare,
  kFavorite,
  kCart,
  kBuy,
  kChat,
  kDelete  // the person asked for less of this
};

// A row of the log. An impression says what was shown, where, and how it came to be there; the
// other kinds name the impression's request and item and say what the person did.
struct Event {
  EventKind kind = EventKind::kImpression;
  std::int64_t time_ms = 0;
  RequestId request = 0;
  ItemId item = 0;
  std::uint32_t position = 0;  // place in the shown list, from 0
  double propensity = 1;       // probability of that place under the logging policy, (0, 1]
  double server_score = 0;
  std::uint32_t dwell_ms = 0;   // exposure or page-view duration
  double scroll = 0;            // screens scrolled meanwhile, signed
  std::uint64_t schema = 0;     // FeatureSchema::fingerprint() of `features`
  std::vector<float> features;  // what the model saw; may be empty

  bool operator==(const Event&) const = default;
};

inline constexpr std::size_t kEventFeaturesMax = 256;
inline constexpr std::size_t kAppendEventsMax = 4096;
inline constexpr std::uint64_t kLogBytesMin = 64 * 1024;

struct TimeRange {  // [begin_ms, end_ms)
  std::int64_t begin_ms = std::numeric_limits<std::int64_t>::min();
  std::int64_t end_ms = std::numeric_limits<std::int64_t>::max();
};

// The oldest rows, by their time, go first. bytes_max counts the pages that rows use in the main
// file; the -wal file adds about four mebibytes.
struct Retention {
  std::uint64_t rows_max = 100'000;
  std::uint64_t bytes_max = std::uint64_t{16} << 20;  // at least kLogBytesMin
  std::int64_t age_ms_max = std::int64_t{90} * 24 * 3600 * 1000;
};

struct LogOptions {
  Retention retention{};
  bool survives_power_loss = false;
  int busy_timeout_ms = 2000;  // how long to wait for another writer
};

struct ScanReport {
  std::uint64_t rows = 0;     // visited
  std::uint64_t damaged = 0;  // anywhere in the file, skipped: the checksum differs
};

struct Quarantine {
  Path file;           // where the damaged file is now
  std::string reason;  // what SQLite said about it
};

class BehaviorLog {
 public:
  // Opens or creates the log; a damaged file is quarantined at once. The clock must outlive the
  // log. Errors: kInvalidArgument (retention), kUnsupported (a newer schema), kIo.
  static Result<BehaviorLog> open(const Path& path, const LogOptions& options, const Clock& clock);
  BehaviorLog(BehaviorLog&&) noexcept;
  BehaviorLog& operator=(BehaviorLog&&) noexcept;
  ~BehaviorLog();

  // All or nothing. kInvalidArgument names the event and field that cannot be stored.
  Result<void> append(std::span<const Event> events);

  // Visits a snapshot, in the order of appending, which is the order of cause and effect also where
  // the wall clock jumped. Reads and checks every row, those outside the range too. `visit` may
  // append to another BehaviorLog on the same file, not to this one. When the file proves to be
  // damaged, the rows before the damage have been visited and the error is kCorrupt; the next call
  // works on a fresh log.
  Result<ScanReport> scan(TimeRange range, const std::function<void(const Event&)>& visit);

  // Deletes for good and returns the number of rows. kFailedPrecondition when a reader kept old
  // copies alive: the rows are gone, but call again to overwrite them.
  Result<std::uint64_t> forget(TimeRange range);
  Result<std::uint64_t> forget_item(ItemId item);
  Result<std::uint64_t> erase_all();

  // The number of the newest row, from 1; it grows with every row until erase_all(). 0: none.
  Result<std::uint64_t> last_id();
  Result<std::uint64_t> rows();
  Result<std::uint64_t> used_bytes();
  const std::optional<Quarantine>& quarantine() const;  // since open; the latest

 private:
  struct State;
  explicit BehaviorLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling
