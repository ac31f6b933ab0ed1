#include "autograd/data/sqlite_rows.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace inkling {

namespace {

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Connection = std::unique_ptr<sqlite3, CloseDatabase>;
using Query = std::unique_ptr<sqlite3_stmt, Finalize>;

tl::unexpected<Error> failure(sqlite3* db, int rc) {
  std::string text = sqlite3_errmsg(db);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
  switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
      return fail(ErrorCode::kCorrupt, text);
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return fail(ErrorCode::kResourceLimit, text);
    case SQLITE_CANTOPEN:
      return fail(ErrorCode::kNotFound, text);
    default:
      return fail(ErrorCode::kIo, text);
  }
}

Result<Query> prepare(sqlite3* db, const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int rc =
      sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (rc != SQLITE_OK) return failure(db, rc);
  return Query(statement);
}

std::string text_of(sqlite3_stmt* query, int column) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(query, column));
  return text == nullptr
             ? std::string()
             : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(query, column)));
}

// In all its digits, which SQLite's own text does not have.
std::string cell_of(sqlite3_stmt* query, int column) {
  if (sqlite3_column_type(query, column) != SQLITE_FLOAT) return text_of(query, column);
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                 sqlite3_column_double(query, column));
  return {digits.data(), end.ptr};
}

std::string quoted(const std::string& name) {
  std::string text = "\"";
  for (const char c : name) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

// The table of that name, or the only one.
Result<std::string> find_table(sqlite3* db, const std::string& wanted) {
  INK_TRY(const Query query, prepare(db,
                                     "SELECT name FROM sqlite_schema WHERE type = 'table' AND name "
                                     "NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"));
  std::vector<std::string> names;
  int rc = sqlite3_step(query.get());
  for (; rc == SQLITE_ROW; rc = sqlite3_step(query.get())) names.push_back(text_of(query.get(), 0));
  if (rc != SQLITE_DONE) return failure(db, rc);
  if (std::find(names.begin(), names.end(), wanted) != names.end()) return wanted;
  if (wanted.empty() && names.size() == 1) return names[0];
  std::string known;
  for (const std::string& name : names) known += concat(known.empty() ? "" : ", ", name);
  if (wanted.empty() && !names.empty()) {
    return fail(ErrorCode::kInvalidArgument, names.size(), " tables, name one: ", known);
  }
  return fail(ErrorCode::kNotFound, "no table '", wanted, "', there is: ", known);
}

}  // namespace

struct SqliteRows::State {
  Connection db;
  Query query;
  std::vector<std::string> columns;
};

SqliteRows::SqliteRows(std::unique_ptr<State> state) : state_(std::move(state)) {}
SqliteRows::SqliteRows(SqliteRows&&) noexcept = default;
SqliteRows& SqliteRows::operator=(SqliteRows&&) noexcept = default;
SqliteRows::~SqliteRows() = default;

Result<SqliteRows> SqliteRows::open(const Path& path, const std::string& table) {
  auto state = std::make_unique<State>();
  sqlite3* db = nullptr;
  const int opened =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  state->db.reset(db);
  if (opened != SQLITE_OK) return failure(db, opened);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, kSqliteCellBytesMax);
  INK_TRY(const std::string name, find_table(db, table));
  INK_TRY(state->query, prepare(db, concat("SELECT * FROM ", quoted(name))));
  const int columns = sqlite3_column_count(state->query.get());
  for (int i = 0; i < columns; ++i)
    state->columns.emplace_back(sqlite3_column_name(state->query.get(), i));
  return SqliteRows(std::move(state));
}

const std::vector<std::string>& SqliteRows::columns() const { return state_->columns; }

Result<bool> SqliteRows::next(std::vector<std::string>& cells) {
  const int rc = sqlite3_step(state_->query.get());
  if (rc == SQLITE_DONE) return false;
  if (rc != SQLITE_ROW) return failure(state_->db.get(), rc);
  cells.clear();
  for (std::size_t i = 0; i < state_->columns.size(); ++i)
    cells.push_back(cell_of(state_->query.get(), static_cast<int>(i)));
  return true;
}

}  // namespace inkling
