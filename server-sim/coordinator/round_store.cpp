#include "server-sim/coordinator/round_store.h"

#include <algorithm>
#include <bit>

namespace inkling {

namespace {

constexpr std::uint32_t kApplication = 0x494e4b52;  // "INKR"
constexpr std::string_view kSchema[] = {
    "CREATE TABLE open_attempt (only INTEGER PRIMARY KEY CHECK (only = 1), round INTEGER, attempt "
    "INTEGER, nonce BLOB, opened_ms INTEGER);"
    "CREATE TABLE journal (sequence INTEGER PRIMARY KEY AUTOINCREMENT, record BLOB NOT NULL);"
    "CREATE TABLE reports (round INTEGER, attempt INTEGER, code INTEGER, reason TEXT, roster BLOB, "
    "dropped BLOB, survivors INTEGER,"
    " sum BLOB, result BLOB, PRIMARY KEY (round, attempt));"
    "CREATE TABLE models (round INTEGER PRIMARY KEY, bytes BLOB NOT NULL);",  // 0: before round 1
    "CREATE TABLE optimizer (only INTEGER PRIMARY KEY CHECK (only = 1), state BLOB NOT NULL);"
    "CREATE TABLE privacy (round INTEGER, attempt INTEGER, mechanism BLOB NOT NULL, "
    "PRIMARY KEY (round, attempt));",
    "ALTER TABLE reports ADD COLUMN metric_sums BLOB;"
    "ALTER TABLE reports ADD COLUMN closes_round INTEGER NOT NULL DEFAULT 1;"
    "UPDATE reports SET closes_round = 0 WHERE code <> 0;"
    "CREATE TABLE groups (attempt INTEGER PRIMARY KEY, weight REAL NOT NULL, delta BLOB NOT "
    "NULL);"};

Bytes encode_roster(std::span<const secagg::ClientId> roster) {
  Bytes bytes;
  for (const auto& id : roster) bytes.insert(bytes.end(), id.begin(), id.end());
  return bytes;
}

Bytes encode_dropped(std::span<const DroppedClient> dropped) {
  ByteWriter writer;
  for (const DroppedClient& d : dropped) {
    writer.raw(d.client);
    writer.u8(static_cast<std::uint8_t>(d.phase));
  }
  return writer.take();
}

Bytes encode_sum(std::span<const std::uint64_t> sum) {
  ByteWriter writer;
  for (const std::uint64_t v : sum) writer.u64(v);
  return writer.take();
}

Bytes encode_reals(std::span<const double> values) {
  ByteWriter writer;
  for (const double v : values) writer.u64(std::bit_cast<std::uint64_t>(v));
  return writer.take();
}

Bytes encode_floats(std::span<const float> values) {
  ByteWriter writer;
  for (const float v : values) writer.u32(std::bit_cast<std::uint32_t>(v));
  return writer.take();
}

secagg::ClientId read_id(ByteReader& reader) {
  secagg::ClientId id{};
  const ByteSpan bytes = reader.raw(id.size());
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return id;
}

RoundReport read_report(const Statement& row) {
  RoundReport report{.attempt = {static_cast<std::uint64_t>(row.integer(0)),
                                 static_cast<std::uint32_t>(row.integer(1))},
                     .code = static_cast<secagg::RoundCode>(row.integer(2)),
                     .reason = std::string(row.text(3)),
                     .roster = {},
                     .dropped = {},
                     .survivors = static_cast<std::uint32_t>(row.integer(6)),
                     .sum = {},
                     .result = {},
                     .metric_sums = {},
                     .closes_round = row.integer(10) != 0};
  ByteReader roster(row.blob(4)), dropped(row.blob(5)), sum(row.blob(7)), metrics(row.blob(9));
  while (metrics.remaining() >= 8)
    report.metric_sums.push_back(std::bit_cast<double>(metrics.u64()));
  while (roster.remaining() >= sizeof(secagg::ClientId)) report.roster.push_back(read_id(roster));
  while (dropped.remaining() > sizeof(secagg::ClientId)) {
    const secagg::ClientId id = read_id(dropped);
    report.dropped.push_back({id, dropped.u8()});
  }
  while (sum.remaining() >= 8) report.sum.push_back(sum.u64());
  const ByteSpan result = row.blob(8);
  report.result.assign(result.begin(), result.end());
  return report;
}

// The one column of every row.
Result<std::vector<Bytes>> blobs(Database& database, std::string_view sql) {
  INK_TRY(Statement query, database.prepare(sql));
  std::vector<Bytes> all;
  for (;;) {
    INK_TRY(const bool more, query.step());
    if (!more) return all;
    const ByteSpan blob = query.blob(0);
    all.emplace_back(blob.begin(), blob.end());
  }
}

}  // namespace

Result<RoundStore> RoundStore::open(const Path& path) {
  INK_TRY(Database database, Database::open(path));
  INK_CHECK_OK(database.migrate(kApplication, kSchema));
  return RoundStore(std::move(database));
}

Result<std::optional<OpenAttempt>> RoundStore::open_attempt() {
  INK_TRY(Statement query,
          database_.prepare("SELECT round, attempt, nonce, opened_ms FROM open_attempt"));
  INK_TRY(const bool found, query.step());
  if (!found) return std::optional<OpenAttempt>();
  OpenAttempt open{.attempt = {static_cast<std::uint64_t>(query.integer(0)),
                               static_cast<std::uint32_t>(query.integer(1))},
                   .opened_ms = query.integer(3)};
  const ByteSpan nonce = query.blob(2);
  if (nonce.size() != open.nonce.size())
    return fail(ErrorCode::kCorrupt, "rounds: a nonce of ", nonce.size(), " bytes");
  std::copy(nonce.begin(), nonce.end(), open.nonce.begin());
  return std::optional<OpenAttempt>(open);
}

Result<void> RoundStore::begin(const OpenAttempt& attempt) {
  INK_TRY(Statement insert, database_.prepare("INSERT INTO open_attempt VALUES (1, ?, ?, ?, ?)"));
  insert.bind_integer(1, static_cast<std::int64_t>(attempt.attempt.round))
      .bind_integer(2, attempt.attempt.attempt);
  insert.bind_blob(3, attempt.nonce).bind_integer(4, attempt.opened_ms);
  return insert.run();
}

Result<void> RoundStore::append(ByteSpan record) {
  INK_TRY(Statement insert, database_.prepare("INSERT INTO journal (record) VALUES (?)"));
  return insert.bind_blob(1, record).run();
}

Result<std::vector<Bytes>> RoundStore::journal() {
  return blobs(database_, "SELECT record FROM journal ORDER BY sequence");
}

Result<Bytes> RoundStore::model() {
  INK_TRY(Statement query,
          database_.prepare("SELECT bytes FROM models ORDER BY round DESC LIMIT 1"));
  INK_TRY(const bool found, query.step());
  if (!found) return fail(ErrorCode::kNotFound, "rounds: no model is stored yet");
  const ByteSpan bytes = query.blob(0);
  return Bytes(bytes.begin(), bytes.end());
}

Result<std::vector<Bytes>> RoundStore::models() {
  return blobs(database_, "SELECT bytes FROM models ORDER BY round");
}

Result<void> RoundStore::put_first_model(ByteSpan model) {
  INK_TRY(Statement insert, database_.prepare("INSERT INTO models VALUES (0, ?)"));
  return insert.bind_blob(1, model).run();
}

Result<std::vector<GroupMean>> RoundStore::groups() {
  INK_TRY(Statement query, database_.prepare("SELECT weight, delta FROM groups ORDER BY attempt"));
  std::vector<GroupMean> groups;
  for (;;) {
    INK_TRY(const bool more, query.step());
    if (!more) return groups;
    GroupMean& group = groups.emplace_back();
    group.weight = query.real(0);
    ByteReader delta(query.blob(1));
    while (delta.remaining() >= 4) group.delta.push_back(std::bit_cast<float>(delta.u32()));
  }
}

Result<Bytes> RoundStore::optimizer() {
  INK_TRY(Statement query, database_.prepare("SELECT state FROM optimizer"));
  INK_TRY(const bool found, query.step());
  if (!found) return Bytes();
  const ByteSpan state = query.blob(0);
  return Bytes(state.begin(), state.end());
}

Result<std::vector<Bytes>> RoundStore::mechanisms() {
  return blobs(database_, "SELECT mechanism FROM privacy ORDER BY round, attempt");
}

Result<void> RoundStore::finish(const RoundReport& report, const RoundProducts& products) {
  INK_TRY(Transaction transaction, Transaction::begin(database_));
  INK_TRY(Statement insert,
          database_.prepare("INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.bind_integer(1, static_cast<std::int64_t>(report.attempt.round))
      .bind_integer(2, report.attempt.attempt);
  insert.bind_integer(3, static_cast<std::int64_t>(report.code)).bind_text(4, report.reason);
  const Bytes roster = encode_roster(report.roster), dropped = encode_dropped(report.dropped),
              sum = encode_sum(report.sum), metrics = encode_reals(report.metric_sums);
  insert.bind_blob(5, roster)
      .bind_blob(6, dropped)
      .bind_integer(7, report.survivors)
      .bind_blob(8, sum)
      .bind_blob(9, report.result)
      .bind_blob(10, metrics)
      .bind_integer(11, report.closes_round ? 1 : 0);
  INK_CHECK_OK(insert.run());
  if (!products.model.empty()) {
    INK_TRY(Statement store, database_.prepare("INSERT INTO models VALUES (?, ?)"));
    store.bind_integer(1, static_cast<std::int64_t>(report.attempt.round))
        .bind_blob(2, products.model);
    INK_CHECK_OK(store.run());
    INK_TRY(Statement keep, database_.prepare("REPLACE INTO optimizer VALUES (1, ?)"));
    INK_CHECK_OK(keep.bind_blob(1, products.optimizer).run());
  }
  if (!products.mechanism.empty()) {
    INK_TRY(Statement charge, database_.prepare("INSERT INTO privacy VALUES (?, ?, ?)"));
    charge.bind_integer(1, static_cast<std::int64_t>(report.attempt.round))
        .bind_integer(2, report.attempt.attempt)
        .bind_blob(3, products.mechanism);
    INK_CHECK_OK(charge.run());
  }
  if (products.group) {
    INK_TRY(Statement keep, database_.prepare("INSERT INTO groups VALUES (?, ?, ?)"));
    const Bytes delta = encode_floats(products.group->delta);
    keep.bind_integer(1, report.attempt.attempt)
        .bind_real(2, products.group->weight)
        .bind_blob(3, delta);
    INK_CHECK_OK(keep.run());
  }
  if (report.closes_round) INK_CHECK_OK(database_.run("DELETE FROM groups"));
  INK_CHECK_OK(database_.run("DELETE FROM open_attempt; DELETE FROM journal"));
  return transaction.commit();
}

Result<std::vector<RoundReport>> RoundStore::reports() {
  INK_TRY(Statement query, database_.prepare("SELECT * FROM reports ORDER BY round, attempt"));
  std::vector<RoundReport> reports;
  for (;;) {
    INK_TRY(const bool more, query.step());
    if (!more) return reports;
    reports.push_back(read_report(query));
  }
}

Result<std::optional<RoundReport>> RoundStore::report(const secagg::Attempt& attempt) {
  INK_TRY(Statement query,
          database_.prepare("SELECT * FROM reports WHERE round = ? AND attempt = ?"));
  query.bind_integer(1, static_cast<std::int64_t>(attempt.round)).bind_integer(2, attempt.attempt);
  INK_TRY(const bool found, query.step());
  return found ? std::optional<RoundReport>(read_report(query)) : std::nullopt;
}

}  // namespace inkling
