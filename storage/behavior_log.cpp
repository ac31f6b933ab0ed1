#include "storage/behavior_log.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "runtime/base/sha256.h"
#include "storage/quarantine.h"

namespace inkling {

namespace {

constexpr std::uint32_t kApplication = 0x494e4b31;  // "INK1"
constexpr std::array<std::string_view, 1> kSchema = {
    "CREATE TABLE event(id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " request INTEGER NOT NULL, item INTEGER NOT NULL, position INTEGER NOT NULL,"
    " propensity REAL NOT NULL, server_score REAL NOT NULL, dwell_ms INTEGER NOT NULL,"
    " scroll REAL NOT NULL, schema INTEGER NOT NULL, features BLOB NOT NULL,"
    " checksum INTEGER NOT NULL);"
    "CREATE INDEX event_time ON event(time_ms);"};
constexpr std::string_view kInsert = "INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)";
// In the order of the table, without the index: a damaged index entry would end a search early, and
// the rows behind it would be missed in silence.
constexpr std::string_view kSelect = "SELECT * FROM event NOT INDEXED ORDER BY id";
constexpr std::uint64_t kPruneFraction = 16;  // over the byte cap: drop this part of the rows

constexpr std::int64_t kNotCounted = -1;

struct Row {
  std::int64_t id = 0;
  Event event;
};

std::int64_t stored(std::uint64_t v) { return std::bit_cast<std::int64_t>(v); }
std::uint64_t loaded(std::int64_t v) { return std::bit_cast<std::uint64_t>(v); }

// SQLite stores -0.0 as 0.
std::uint64_t real_bits(double v) { return std::bit_cast<std::uint64_t>(v + 0.0); }

Bytes feature_bytes(const std::vector<float>& features) {
  ByteWriter out;
  for (const float f : features) out.u32(std::bit_cast<std::uint32_t>(f));
  return out.take();
}

// The first eight bytes of SHA-256 over every column, the id included: a row moved over another is
// damage too.
std::int64_t checksum(const Row& row, ByteSpan features) {
  const Event& e = row.event;
  ByteWriter out;
  out.u64(loaded(row.id));
  out.u64(loaded(e.time_ms));
  out.u8(static_cast<std::uint8_t>(e.kind));
  out.u64(e.request);
  out.u64(e.item);
  out.u32(e.position);
  out.u64(real_bits(e.propensity));
  out.u64(real_bits(e.server_score));
  out.u32(e.dwell_ms);
  out.u64(real_bits(e.scroll));
  out.u64(e.schema);
  out.raw(features);
  const Sha256Digest digest = sha256(out.bytes());
  return stored(ByteReader(digest).u64());
}

Result<void> validate(const Event& e, std::size_t index) {
  const auto refuse = [&](const char* field, const auto& got, const char* expected) {
    return fail(ErrorCode::kInvalidArgument, "append: event ", index, ": ", field, " is ", got,
                ", expected ", expected);
  };
  if (e.kind < EventKind::kImpression || e.kind > EventKind::kDelete)
    return refuse("kind", static_cast<int>(e.kind), "an EventKind");
  if (!(e.propensity > 0 && e.propensity <= 1))
    return refuse("propensity", e.propensity, "a probability in (0, 1]");
  if (!std::isfinite(e.server_score)) return refuse("server_score", e.server_score, "finite");
  if (!std::isfinite(e.scroll)) return refuse("scroll", e.scroll, "finite");
  if (e.features.size() > kEventFeaturesMax)
    return refuse("the number of features", e.features.size(), "at most 256");
  if (!std::all_of(e.features.begin(), e.features.end(), [](float f) { return std::isfinite(f); }))
    return refuse("a feature", "not finite", "finite");
  return {};
}

Result<void> insert(Statement& statement, const Row& row) {
  const Event& e = row.event;
  const Bytes features = feature_bytes(e.features);
  statement.bind_integer(1, row.id)
      .bind_integer(2, e.time_ms)
      .bind_integer(3, static_cast<std::int64_t>(e.kind))
      .bind_integer(4, stored(e.request))
      .bind_integer(5, stored(e.item))
      .bind_integer(6, e.position)
      .bind_real(7, e.propensity)
      .bind_real(8, e.server_score)
      .bind_integer(9, e.dwell_ms)
      .bind_real(10, e.scroll)
      .bind_integer(11, stored(e.schema))
      .bind_blob(12, features)
      .bind_integer(13, checksum(row, features));
  auto inserted = statement.run();
  // The id is new and no column is NULL, so a broken constraint is a damaged table.
  if (!inserted && inserted.error().code == ErrorCode::kFailedPrecondition)
    inserted.error().code = ErrorCode::kCorrupt;
  return inserted;
}

// Fills `row` from the current row of kSelect; false when the row is damaged. Narrow columns are
// cut to their width: bits outside it would escape the checksum, so they are compared first.
bool read_row(const Statement& statement, Row& row) {
  const auto fits = [](std::int64_t v, std::int64_t max) { return v >= 0 && v <= max; };
  constexpr std::int64_t kU32Max = std::numeric_limits<std::uint32_t>::max();
  const std::int64_t kind = statement.integer(2);
  const std::int64_t position = statement.integer(5);
  const std::int64_t dwell_ms = statement.integer(8);
  const ByteSpan features = statement.blob(11);
  if (!fits(kind, 0xff) || !fits(position, kU32Max) || !fits(dwell_ms, kU32Max)) return false;
  if (features.size() % 4 != 0 || features.size() / 4 > kEventFeaturesMax) return false;

  Event& e = row.event;
  row.id = statement.integer(0);
  e.time_ms = statement.integer(1);
  e.kind = static_cast<EventKind>(kind);
  e.request = loaded(statement.integer(3));
  e.item = loaded(statement.integer(4));
  e.position = static_cast<std::uint32_t>(position);
  e.propensity = statement.real(6);
  e.server_score = statement.real(7);
  e.dwell_ms = static_cast<std::uint32_t>(dwell_ms);
  e.scroll = statement.real(9);
  e.schema = loaded(statement.integer(10));
  if (checksum(row, features) != statement.integer(12)) return false;
  e.features.resize(features.size() / 4);
  ByteReader reader(features);
  for (float& f : e.features) f = std::bit_cast<float>(reader.u32());
  return true;
}

}  // namespace

// One open file and what is known of it. Everything here may fail with kCorrupt; BehaviorLog
// decides what happens then.
struct BehaviorLog::State {
  struct Store {
    Database database;
    Statement insert;
    Statement data_version, newest_id, delete_aged;
    std::int64_t version_seen = kNotCounted;  // SQLite's counter of other connections' commits
    std::uint64_t rows = 0;
  };

  Path path;
  LogOptions options;
  const Clock* clock = nullptr;
  std::optional<Store> store;
  std::optional<Quarantine> quarantine;

  Result<void> open_store();
  Result<void> open_or_quarantine();
  Result<void> set_aside(const Error& error);
  Result<void> count_rows();
  Result<void> append_once(std::span<const Event> events);
  Result<void> prune();
  Result<std::int64_t> newest_id();
  Result<std::uint64_t> run_delete(Statement& statement,
                                   std::initializer_list<std::int64_t> parameters);
  Result<std::uint64_t> delete_where(std::string_view condition,
                                     std::initializer_list<std::int64_t> parameters);
  Result<std::uint64_t> forget_where(std::string_view condition,
                                     std::initializer_list<std::int64_t> parameters);

  // Runs what may find the file damaged; if so, sets the file aside and opens a fresh one.
  template <typename Body>
  auto guarded(const Body& body) -> decltype(body()) {
    if (!store) {
      if (auto opened = open_or_quarantine(); !opened) return tl::unexpected<Error>(opened.error());
    }
    auto result = body();
    if (!result && result.error().code == ErrorCode::kCorrupt) {
      if (auto done = set_aside(result.error()); !done) return tl::unexpected<Error>(done.error());
    }
    return result;
  }
};

Result<void> BehaviorLog::State::open_store() {
  const DatabaseOptions database_options{.survives_power_loss = options.survives_power_loss,
                                         .busy_timeout_ms = options.busy_timeout_ms};
  INK_TRY(Database database, Database::open(path, database_options));
  INK_CHECK_OK(database.migrate(kApplication, kSchema));
  INK_TRY(Statement insert_row, database.prepare(kInsert));
  INK_TRY(Statement data_version, database.prepare("PRAGMA data_version"));
  INK_TRY(Statement newest_id, database.prepare("SELECT max(id) FROM event"));
  INK_TRY(Statement delete_aged, database.prepare("DELETE FROM event WHERE time_ms < ?"));
  // Before the rows are counted: a commit of another connection in between shows later.
  INK_TRY([[maybe_unused]] const bool row, data_version.step());
  const std::int64_t version = data_version.integer(0);
  data_version.reset();
  INK_TRY(const std::int64_t in_table, database.integer("SELECT count(*) FROM event NOT INDEXED"));
  INK_TRY(const std::int64_t in_index,
          database.integer("SELECT count(*) FROM event INDEXED BY event_time"));
  if (in_table != in_index) {
    return fail(ErrorCode::kCorrupt, path.string(), ": ", in_table, " rows, but ", in_index,
                " in the index");
  }
  store.emplace(Store{.database = std::move(database),
                      .insert = std::move(insert_row),
                      .data_version = std::move(data_version),
                      .newest_id = std::move(newest_id),
                      .delete_aged = std::move(delete_aged),
                      .version_seen = version,
                      .rows = static_cast<std::uint64_t>(in_table)});
  return {};
}

Result<void> BehaviorLog::State::open_or_quarantine() {
  auto opened = open_store();
  if (opened || opened.error().code != ErrorCode::kCorrupt) return opened;
  return set_aside(opened.error());
}

Result<void> BehaviorLog::State::set_aside(const Error& error) {
  store.reset();
  INK_TRY(Path file, move_to_quarantine(path, clock->unix_ms()));
  quarantine = Quarantine{.file = std::move(file), .reason = error.message};
  return open_store();
}

// The number of rows, counted again whenever another connection has committed.
Result<void> BehaviorLog::State::count_rows() {
  INK_TRY([[maybe_unused]] const bool row, store->data_version.step());
  const std::int64_t version = store->data_version.integer(0);
  store->data_version.reset();
  if (version == store->version_seen) return {};
  INK_TRY(const std::int64_t rows, store->database.integer("SELECT count(*) FROM event"));
  store->version_seen = version;
  store->rows = static_cast<std::uint64_t>(rows);
  return {};
}

// 0 in an empty log.
Result<std::int64_t> BehaviorLog::State::newest_id() {
  INK_TRY([[maybe_unused]] const bool row, store->newest_id.step());
  const std::int64_t id = store->newest_id.integer(0);
  store->newest_id.reset();
  return id;
}

Result<void> BehaviorLog::State::append_once(std::span<const Event> events) {
  const auto write = [&]() -> Result<void> {
    INK_TRY(Transaction transaction, Transaction::begin(store->database));
    INK_CHECK_OK(count_rows());
    INK_TRY(std::int64_t id, newest_id());
    if (id < 0 || id > std::numeric_limits<std::int64_t>::max() - std::int64_t{kAppendEventsMax})
      return fail(ErrorCode::kCorrupt, path.string(), ": row id ", id, " is out of range");
    for (const Event& event : events) INK_CHECK_OK(insert(store->insert, {++id, event}));
    store->rows += events.size();
    INK_CHECK_OK(prune());
    return transaction.commit();
  };
  auto written = write();
  if (!written) store->version_seen = kNotCounted;  // the count ran ahead of what was rolled back
  return written;
}

Result<void> BehaviorLog::State::prune() {
  const Retention& keep = options.retention;
  std::int64_t oldest_ms = 0;
  if (!__builtin_sub_overflow(clock->unix_ms(), keep.age_ms_max, &oldest_ms))
    INK_CHECK_OK(run_delete(store->delete_aged, {oldest_ms}));
  const auto drop_oldest = [&](std::uint64_t count) {
    return delete_where("id IN (SELECT id FROM event ORDER BY time_ms, id LIMIT ?)",
                        {static_cast<std::int64_t>(count)});
  };
  if (store->rows > keep.rows_max) INK_CHECK_OK(drop_oldest(store->rows - keep.rows_max));
  while (store->rows > 0) {
    INK_TRY(const std::uint64_t bytes, store->database.used_bytes());
    if (bytes <= keep.bytes_max) break;
    INK_TRY(const std::uint64_t dropped,
            drop_oldest(std::max<std::uint64_t>(store->rows / kPruneFraction, 1)));
    if (dropped == 0) return fail(ErrorCode::kCorrupt, path.string(), ": rows are missing");
  }
  return {};
}

Result<std::uint64_t> BehaviorLog::State::delete_where(
    std::string_view condition, std::initializer_list<std::int64_t> parameters) {
  INK_TRY(Statement statement,
          store->database.prepare(concat("DELETE FROM event WHERE ", condition)));
  return run_delete(statement, parameters);
}

Result<std::uint64_t> BehaviorLog::State::run_delete(
    Statement& statement, std::initializer_list<std::int64_t> parameters) {
  int number = 0;
  for (const std::int64_t parameter : parameters) statement.bind_integer(++number, parameter);
  INK_CHECK_OK(statement.run());
  const std::uint64_t deleted = store->database.changes();
  if (deleted > store->rows)
    return fail(ErrorCode::kCorrupt, path.string(), ": more rows than were counted");
  store->rows -= deleted;
  return deleted;
}

// A file too damaged for the search is deleted whole by the caller: forgetting too much is right,
// too little is not.
Result<std::uint64_t> BehaviorLog::State::forget_where(
    std::string_view condition, std::initializer_list<std::int64_t> parameters) {
  auto forgotten = guarded([&]() -> Result<std::uint64_t> {
    INK_TRY(Transaction transaction, Transaction::begin(store->database));
    INK_CHECK_OK(count_rows());
    INK_TRY(const std::uint64_t deleted, delete_where(condition, parameters));
    INK_CHECK_OK(transaction.commit());
    INK_CHECK_OK(store->database.scrub());
    return deleted;
  });
  INK_CHECK_OK(delete_quarantined(path));
  if (!forgotten && forgotten.error().code == ErrorCode::kCorrupt) return 0;
  return forgotten;
}

BehaviorLog::BehaviorLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
BehaviorLog::BehaviorLog(BehaviorLog&&) noexcept = default;
BehaviorLog& BehaviorLog::operator=(BehaviorLog&&) noexcept = default;
BehaviorLog::~BehaviorLog() = default;

Result<BehaviorLog> BehaviorLog::open(const Path& path, const LogOptions& options,
                                      const Clock& clock) {
  const Retention& keep = options.retention;
  if (keep.rows_max == 0 || keep.bytes_max < kLogBytesMin || keep.age_ms_max <= 0) {
    return fail(ErrorCode::kInvalidArgument, "behaviour log: retention of ", keep.rows_max,
                " rows, ", keep.bytes_max, " bytes, ", keep.age_ms_max,
                " ms: expected at least 1 row, ", kLogBytesMin, " bytes, 1 ms");
  }
  auto state = std::make_unique<State>();
  std::error_code error;
  state->path = std::filesystem::absolute(path, error);
  if (error) return fail(ErrorCode::kIo, "resolve ", path.string(), ": ", error.message());
  state->options = options;
  state->clock = &clock;
  INK_CHECK_OK(state->open_or_quarantine());
  return BehaviorLog(std::move(state));
}

Result<void> BehaviorLog::append(std::span<const Event> events) {
  if (events.size() > kAppendEventsMax) {
    return fail(ErrorCode::kResourceLimit, "append: ", events.size(), " events, limit ",
                kAppendEventsMax);
  }
  for (std::size_t i = 0; i < events.size(); ++i) INK_CHECK_OK(validate(events[i], i));
  if (events.empty()) return {};
  const auto attempt = [&] { return state_->append_once(events); };
  auto appended = state_->guarded(attempt);
  // The damaged file is aside: the fresh one takes the rows.
  if (!appended && appended.error().code == ErrorCode::kCorrupt) return state_->guarded(attempt);
  return appended;
}

Result<ScanReport> BehaviorLog::scan(TimeRange range,
                                     const std::function<void(const Event&)>& visit) {
  return state_->guarded([&]() -> Result<ScanReport> {
    INK_TRY(Statement select, state_->store->database.prepare(kSelect));
    ScanReport report;
    Row row;
    while (true) {
      INK_TRY(const bool found, select.step());
      if (!found) return report;
      if (!read_row(select, row)) {
        ++report.damaged;
        continue;
      }
      if (row.event.time_ms < range.begin_ms || row.event.time_ms >= range.end_ms) continue;
      ++report.rows;
      visit(row.event);
    }
  });
}

// "+time_ms" keeps the index out of it: what is forgotten is decided by the rows themselves.
Result<std::uint64_t> BehaviorLog::forget(TimeRange range) {
  return state_->forget_where("+time_ms >= ? AND +time_ms < ?", {range.begin_ms, range.end_ms});
}

Result<std::uint64_t> BehaviorLog::forget_item(ItemId item) {
  return state_->forget_where("item = ?", {stored(item)});
}

Result<std::uint64_t> BehaviorLog::erase_all() { return state_->forget_where("true", {}); }

Result<std::uint64_t> BehaviorLog::last_id() {
  return state_->guarded([&]() -> Result<std::uint64_t> {
    INK_TRY(const std::int64_t id, state_->newest_id());
    return loaded(id);
  });
}

Result<std::uint64_t> BehaviorLog::rows() {
  return state_->guarded([&]() -> Result<std::uint64_t> {
    INK_CHECK_OK(state_->count_rows());
    return state_->store->rows;
  });
}

Result<std::uint64_t> BehaviorLog::used_bytes() {
  return state_->guarded([&] { return state_->store->database.used_bytes(); });
}

const std::optional<Quarantine>& BehaviorLog::quarantine() const { return state_->quarantine; }

}  // namespace inkling
