#pragma once
// A SQLite file, opened the way that every on-device store of the project wants it.
//
// The file is private (mode 0600, no symbolic link), in WAL mode, and treated as hostile: no
// triggers or views of the file run, no extension loads, cells are size-checked, and a file that
// was not closed cleanly is checked before use. Deleted content is overwritten; scrub() also
// removes the copies that SQLite leaves in the write-ahead log.
//
// A Database and its Statements belong to one thread at a time. Several Databases, also in several
// processes, may be open on one file: readers see a snapshot and never block the writer.
//
// Errors: kCorrupt (not a database, or damaged, or with another schema), kUnsupported (a newer
// schema), kFailedPrecondition (another connection holds the lock, or a constraint is broken),
// kResourceLimit (a value over kDatabaseValueBytesMax, or no memory), kIo (everything else,
// including a full disk).

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "runtime/base/bytes.h"
#include "runtime/base/file.h"

namespace inkling {

inline constexpr std::uint64_t kDatabaseValueBytesMax = std::uint64_t{64} << 20;

struct DatabaseOptions {
  // A commit survives the end of the process either way. With true it also survives a power loss
  // (one fsync a commit); with false a power loss may undo the last commits, never tear one.
  bool survives_power_loss = true;
  std::uint64_t bytes_max = std::uint64_t{1} << 32;  // growing beyond it is kIo
  int busy_timeout_ms = 2000;                        // how long to wait for another writer
};

// A prepared statement. Parameters count from 1, columns from 0, as in SQLite. A bind that fails
// latches and is reported by the next step().
class Statement {
 public:
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();

  Statement& bind_integer(int parameter, std::int64_t value);
  Statement& bind_real(int parameter, double value);  // NaN is stored as NULL
  Statement& bind_text(int parameter, std::string_view value);
  Statement& bind_blob(int parameter, ByteSpan value);

  // True: a row is there to be read. False: the statement is finished, and reset for the next use.
  Result<bool> step();
  // Steps to the end, ignoring rows.
  Result<void> run();
  // Abandons the remaining rows and forgets the bindings.
  void reset();

  // The current row. A column of another type is converted as SQLite does; NULL reads as zero or
  // empty. Views hold until the next step or reset.
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;
  ByteSpan blob(int column) const;

 private:
  friend class Database;
  struct State;
  explicit Statement(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Database {
 public:
  // Opens or creates the file, and its folder.
  static Result<Database> open(const Path& path, const DatabaseOptions& options = {});
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // Brings the file to the newest schema: steps[k] takes it from version k to k + 1, all in one
  // transaction. application tells the project's kinds of files apart: a file of another kind is
  // kCorrupt, a version beyond steps.size() is kUnsupported and leaves the file untouched.
  Result<void> migrate(std::uint32_t application, std::span<const std::string_view> steps);

  Result<Statement> prepare(std::string_view sql);     // exactly one statement
  Result<void> run(std::string_view sql);              // one or more, without parameters
  Result<std::int64_t> integer(std::string_view sql);  // the first column of the first row, else 0

  std::uint64_t changes() const;       // rows that the last insert, update or delete touched
  Result<std::uint64_t> used_bytes();  // pages in use, without the free ones and the -wal file

  // Rewrites the file without its free space and empties the -wal file: deleted content is then in
  // neither. kFailedPrecondition while another connection reads; call again later.
  Result<void> scrub();

  const Path& path() const;

 private:
  friend class Statement;
  friend class Transaction;
  struct Connection;
  explicit Database(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

// A write transaction: all or nothing. Rolled back unless committed. The Database must stay where
// it is meanwhile.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<void> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace inkling
