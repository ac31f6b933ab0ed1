#include "storage/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

namespace inkling {

namespace {

constexpr int kSqlBytesMax = 1 << 16;
constexpr int kExpressionDepthMax = 64;
constexpr int kColumnsMax = 64;
constexpr int kCheckpointPages = 1000;

// What every append runs: prepared once a connection.
enum Prepared { kBegin, kCommit, kPageCount, kFreePages, kPreparedCount };
constexpr std::array<const char*, kPreparedCount> kPreparedSql = {
    "BEGIN IMMEDIATE", "COMMIT", "PRAGMA page_count", "PRAGMA freelist_count"};

ErrorCode error_code(int rc) {
  switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:  // our SQL is constant, so it is the file's schema that does not fit it
    case SQLITE_SCHEMA:
    case SQLITE_MISMATCH:
      return ErrorCode::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CONSTRAINT:
      return ErrorCode::kFailedPrecondition;
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return ErrorCode::kResourceLimit;
    default:
      return ErrorCode::kIo;
  }
}

// SQLite quotes names from the file in its messages: keep them on one printable line.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}

// Creates the file if it is missing. An existing one is never opened and closed here: closing any
// descriptor drops the POSIX locks that other connections of this process hold on it.
Result<void> claim_file(const Path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd >= 0) {
    ::close(fd);
    return {};
  }
  if (errno != EEXIST)
    return fail(ErrorCode::kIo, "create ", path.string(), ": ", std::strerror(errno));
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0)
    return fail(ErrorCode::kIo, "stat ", path.string(), ": ", std::strerror(errno));
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::kIo, "open ", path.string(), ": not a regular file");
  if ((info.st_mode & 077) != 0 && ::chmod(path.c_str(), 0600) != 0)
    return fail(ErrorCode::kIo, "chmod ", path.string(), ": ", std::strerror(errno));
  return {};
}

// The folder resolved, the file itself not: SQLite refuses a link anywhere in the path, and
// application folders are often reached through one.
Result<Path> resolve(const Path& path) {
  const Path folder = path.has_parent_path() ? path.parent_path() : Path(".");
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(ErrorCode::kIo, "create ", folder.string(), ": ", error.message());
  const Path resolved = std::filesystem::canonical(folder, error);
  if (error) return fail(ErrorCode::kIo, "resolve ", folder.string(), ": ", error.message());
  return resolved / path.filename();
}

bool stopped_uncleanly(const Path& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(concat(path.string(), "-wal"), error);
  return !error && bytes > 0;
}

}  // namespace

struct Database::Connection {
  sqlite3* handle = nullptr;
  Path path;
  std::int64_t page_bytes = 0;
  std::array<sqlite3_stmt*, kPreparedCount> prepared{};

  ~Connection() {
    for (sqlite3_stmt* statement : prepared) sqlite3_finalize(statement);
    sqlite3_close_v2(handle);
  }

  // The first column of the only row, 0 without one.
  Result<std::int64_t> run_prepared(Prepared which) {
    sqlite3_stmt*& statement = prepared[which];
    if (statement == nullptr) {
      const int rc = sqlite3_prepare_v3(handle, kPreparedSql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                        &statement, nullptr);
      if (rc != SQLITE_OK) return failed(rc, "prepare");
    }
    const int rc = sqlite3_step(statement);
    const std::int64_t value = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
      sqlite3_reset(statement);
      return value;
    }
    auto error = failed(rc, "run");
    sqlite3_reset(statement);
    return error;
  }

  tl::unexpected<Error> failed(int rc, std::string_view what) const {
    const char* reason = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(rc);
    return fail(error_code(rc), path.string(), ": ", what, ": ", one_line(reason));
  }

  void harden() {
    using Setting = std::pair<int, int>;
    for (const auto& [option, value] :
         {Setting{SQLITE_DBCONFIG_DEFENSIVE, 1}, Setting{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
          Setting{SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
          Setting{SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, Setting{SQLITE_DBCONFIG_ENABLE_VIEW, 0},
          Setting{SQLITE_DBCONFIG_DQS_DML, 0}, Setting{SQLITE_DBCONFIG_DQS_DDL, 0}})
      sqlite3_db_config(handle, option, value, nullptr);
    for (const auto& [limit, value] :
         {Setting{SQLITE_LIMIT_LENGTH, static_cast<int>(kDatabaseValueBytesMax)},
          Setting{SQLITE_LIMIT_SQL_LENGTH, kSqlBytesMax},
          Setting{SQLITE_LIMIT_EXPR_DEPTH, kExpressionDepthMax},
          Setting{SQLITE_LIMIT_COLUMN, kColumnsMax},
          Setting{SQLITE_LIMIT_ATTACHED, 1}})  // VACUUM attaches its copy
      sqlite3_limit(handle, limit, value);
  }
};

struct Statement::State {
  sqlite3_stmt* handle = nullptr;
  const Database::Connection* connection = nullptr;
  int bind_error = SQLITE_OK;

  ~State() { sqlite3_finalize(handle); }

  void note(int rc) {
    if (bind_error == SQLITE_OK) bind_error = rc;
  }
};

Statement::Statement(std::unique_ptr<State> state) : state_(std::move(state)) {}
Statement::Statement(Statement&&) noexcept = default;
Statement& Statement::operator=(Statement&&) noexcept = default;
Statement::~Statement() = default;

Statement& Statement::bind_integer(int parameter, std::int64_t value) {
  state_->note(sqlite3_bind_int64(state_->handle, parameter, value));
  return *this;
}

Statement& Statement::bind_real(int parameter, double value) {
  state_->note(sqlite3_bind_double(state_->handle, parameter, value));
  return *this;
}

Statement& Statement::bind_text(int parameter, std::string_view value) {
  const char* data = value.empty() ? "" : value.data();
  state_->note(sqlite3_bind_text64(state_->handle, parameter, data, value.size(), SQLITE_TRANSIENT,
                                   SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int parameter, ByteSpan value) {
  const void* data = value.empty() ? static_cast<const void*>("") : value.data();
  state_->note(
      sqlite3_bind_blob64(state_->handle, parameter, data, value.size(), SQLITE_TRANSIENT));
  return *this;
}

Result<bool> Statement::step() {
  if (state_->bind_error != SQLITE_OK) {
    const int rc = state_->bind_error;
    reset();
    return state_->connection->failed(rc, "bind");
  }
  const int rc = sqlite3_step(state_->handle);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) {
    reset();
    return false;
  }
  auto error = state_->connection->failed(rc, "step");
  reset();
  return error;
}

Result<void> Statement::run() {
  while (true) {
    INK_TRY(const bool row, step());
    if (!row) return {};
  }
}

void Statement::reset() {
  sqlite3_reset(state_->handle);
  sqlite3_clear_bindings(state_->handle);
  state_->bind_error = SQLITE_OK;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(state_->handle, column);
}

double Statement::real(int column) const { return sqlite3_column_double(state_->handle, column); }

std::string_view Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(state_->handle, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(state_->handle, column))};
}

ByteSpan Statement::blob(int column) const {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(state_->handle, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(state_->handle, column))};
}

Database::Database(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

const Path& Database::path() const { return connection_->path; }

Result<Database> Database::open(const Path& path, const DatabaseOptions& options) {
  auto connection = std::make_unique<Connection>();
  INK_TRY(connection->path, resolve(path));
  INK_CHECK_OK(claim_file(connection->path));
  const bool unclean = stopped_uncleanly(connection->path);
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
  const int rc = sqlite3_open_v2(connection->path.c_str(), &connection->handle, flags, nullptr);
  if (rc != SQLITE_OK) return connection->failed(rc, "open");
  connection->harden();
  sqlite3_busy_timeout(connection->handle, options.busy_timeout_ms);

  Database database(std::move(connection));
  INK_CHECK_OK(
      database.run("PRAGMA cell_size_check=ON; PRAGMA secure_delete=ON; PRAGMA mmap_size=0;"
                   "PRAGMA temp_store=MEMORY; PRAGMA journal_mode=WAL;"
                   "PRAGMA journal_size_limit=1048576"));
  INK_CHECK_OK(database.run(concat("PRAGMA wal_autocheckpoint=", kCheckpointPages)));
  INK_CHECK_OK(database.run(options.survives_power_loss ? "PRAGMA synchronous=FULL"
                                                        : "PRAGMA synchronous=NORMAL"));
  INK_TRY(const std::int64_t page_bytes, database.integer("PRAGMA page_size"));
  database.connection_->page_bytes = std::max<std::int64_t>(page_bytes, 512);
  const std::uint64_t pages =
      options.bytes_max / static_cast<std::uint64_t>(database.connection_->page_bytes);
  INK_CHECK_OK(database.run(
      concat("PRAGMA max_page_count=", std::clamp<std::uint64_t>(pages, 1, 1u << 30))));
  if (!unclean) return database;

  INK_TRY(Statement check, database.prepare("PRAGMA quick_check(1)"));
  INK_TRY(const bool row, check.step());
  if (!row || check.text(0) != "ok") {
    return fail(ErrorCode::kCorrupt, database.path().string(),
                ": quick check: ", one_line(std::string(check.text(0))));
  }
  check.reset();
  return database;
}

Result<void> Database::migrate(std::uint32_t application, std::span<const std::string_view> steps) {
  const auto newest = static_cast<std::int64_t>(steps.size());
  INK_TRY(Transaction transaction, Transaction::begin(*this));
  INK_TRY(const std::int64_t version, integer("PRAGMA user_version"));
  INK_TRY(const std::int64_t found, integer("PRAGMA application_id"));
  if (version == 0 && found == 0) {
    INK_CHECK_OK(run(concat("PRAGMA application_id=", static_cast<std::int32_t>(application))));
  } else if (static_cast<std::uint32_t>(found) != application) {
    return fail(ErrorCode::kCorrupt, path().string(), ": application id ", found, ", expected ",
                static_cast<std::int32_t>(application));
  }
  if (version == newest) return transaction.commit();
  if (version > newest || version < 0) {
    return fail(ErrorCode::kUnsupported, path().string(), ": schema version ", version,
                ", this build reads up to ", newest);
  }
  for (std::int64_t step = version; step < newest; ++step)
    INK_CHECK_OK(run(steps[static_cast<std::size_t>(step)]));
  INK_CHECK_OK(run(concat("PRAGMA user_version=", newest)));
  return transaction.commit();
}

Result<Statement> Database::prepare(std::string_view sql) {
  auto state = std::make_unique<Statement::State>();
  state->connection = connection_.get();
  const int rc = sqlite3_prepare_v3(connection_->handle, sql.data(), static_cast<int>(sql.size()),
                                    SQLITE_PREPARE_PERSISTENT, &state->handle, nullptr);
  if (rc != SQLITE_OK) return connection_->failed(rc, "prepare");
  INK_INVARIANT(state->handle != nullptr);
  return Statement(std::move(state));
}

Result<void> Database::run(std::string_view sql) {
  const std::string terminated(sql);
  const int rc = sqlite3_exec(connection_->handle, terminated.c_str(), nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return connection_->failed(rc, "run");
  return {};
}

Result<std::int64_t> Database::integer(std::string_view sql) {
  INK_TRY(Statement statement, prepare(sql));
  INK_TRY(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

std::uint64_t Database::changes() const {
  return static_cast<std::uint64_t>(sqlite3_changes64(connection_->handle));
}

Result<std::uint64_t> Database::used_bytes() {
  INK_TRY(const std::int64_t pages, connection_->run_prepared(kPageCount));
  INK_TRY(const std::int64_t unused, connection_->run_prepared(kFreePages));
  return static_cast<std::uint64_t>(std::max<std::int64_t>(pages - unused, 0)) *
         static_cast<std::uint64_t>(connection_->page_bytes);
}

Result<void> Database::scrub() {
  INK_CHECK_OK(run("VACUUM"));
  const int rc = sqlite3_wal_checkpoint_v2(connection_->handle, nullptr, SQLITE_CHECKPOINT_TRUNCATE,
                                           nullptr, nullptr);
  if (rc != SQLITE_OK) return connection_->failed(rc, "empty the -wal file");
  return {};
}

Result<Transaction> Transaction::begin(Database& database) {
  INK_CHECK_OK(database.connection_->run_prepared(kBegin));
  return Transaction(database);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  sqlite3* handle = database_->connection_->handle;
  // A failed statement may have rolled back already; there is nothing to report from here.
  if (sqlite3_get_autocommit(handle) == 0)
    sqlite3_exec(handle, "ROLLBACK", nullptr, nullptr, nullptr);
}

Result<void> Transaction::commit() {
  INK_CHECK_OK(database_->connection_->run_prepared(kCommit));
  database_ = nullptr;
  return {};
}

}  // namespace inkling
