#pragma once
// Table: labelled rows of numbers, in memory.
//
// A table comes with the names of its columns. One column is the label, whatever text is in it; one
// may name the group that a row belongs to (a person, a day); some are ignored; all others must be
// finite numbers in every row. A cell that is not is an error that names row and column: what a
// missing value means is for people to say.

#include <span>

#include "autograd/data/labelled_rows.h"
#include "runtime/base/file.h"

namespace inkling {

inline constexpr std::size_t kTableFloatsMax = std::size_t{1} << 30;
inline constexpr std::size_t kTableClassesMax = 1000;

struct Table : LabelledRows {
  std::string label_column;
  std::vector<std::string> columns;  // of the numbers
  std::vector<float> values;         // f32[rows, columns]

  std::span<const float> row(std::size_t index) const {
    return std::span(values).subspan(index * columns.size(), columns.size());
  }
};

struct TableSource {
  Path path = {};
  std::string label = "label";  // empty: no column is the label, and labels stay empty
  std::string group = {};       // empty: none
  std::vector<std::string> ignored = {};
  std::string table = {};  // of a SQLite file; empty: its only one
  // The columns to read, in their order; all others are ignored. Empty: all that are not named
  // above.
  std::vector<std::string> columns = {};
  // The classes that labels may name, in their order. Empty: those that are found, by name or,
  // where all are whole numbers, by number.
  std::vector<std::string> classes = {};
};

// Takes rows of cells one by one.
class TableBuilder {
 public:
  // kNotFound: a column that is named in the source but not in the header. kInvalidArgument: a name
  // that occurs twice, or no column left for numbers.
  static Result<TableBuilder> create(const TableSource& source,
                                     const std::vector<std::string>& header);

  // `name` says where the row is: "line 7". kCorrupt: another number of cells than the header's, a
  // number that is none, no label or no group. kResourceLimit: over kTableFloatsMax.
  Result<void> add(const std::vector<std::string>& cells, std::string name);

  // kInvalidArgument: no rows, fewer than two classes, more than kTableClassesMax, or a label that
  // is not among the source's classes.
  Result<Table> finish() &&;

 private:
  explicit TableBuilder(const TableSource& source) : source_(source) {}

  TableSource source_;
  Table table_;
  std::size_t width_ = 0;             // cells a row
  std::vector<std::size_t> numbers_;  // places of the columns
  std::size_t label_ = 0, group_ = 0;
  std::vector<std::string> texts_;  // of the labels
};

// A CSV file (autograd/data/csv.h) with a header, or a SQLite file. Errors as above, with the
// file's name in front; kNotFound: no such file or table.
Result<Table> read_table(const TableSource& source);

bool is_sqlite_file(ByteSpan head);

}  // namespace inkling
