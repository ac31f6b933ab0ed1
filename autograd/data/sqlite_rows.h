#pragma once
// SqliteRows: the rows of one table of a SQLite file that somebody else made. The file is opened
// for reading only and is treated as hostile: only real tables are read, so that nothing in its
// schema runs. Errors: kNotFound (no such file or table), kInvalidArgument (several tables and none
// named), kCorrupt, kResourceLimit (a cell over kSqliteCellBytesMax).

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/file.h"

namespace inkling {

inline constexpr int kSqliteCellBytesMax = 1 << 20;

class SqliteRows {
 public:
  // An empty name: the only table of the file.
  static Result<SqliteRows> open(const Path& path, const std::string& table);
  SqliteRows(SqliteRows&&) noexcept;
  SqliteRows& operator=(SqliteRows&&) noexcept;
  ~SqliteRows();

  const std::vector<std::string>& columns() const;
  // In the order of the table; NULL reads as an empty cell. False at the end.
  Result<bool> next(std::vector<std::string>& cells);

 private:
  struct State;
  explicit SqliteRows(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling
