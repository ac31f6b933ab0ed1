#pragma once
// CSV as RFC 4180 has it: records of cells between commas, a cell in double quotes may hold commas,
// line ends and doubled quotes. Lines end in LF or CRLF; empty lines and a byte order mark are
// skipped. Strict otherwise, and files are treated as hostile: kCorrupt names the line of a quote
// that stands in a cell without quotes, of one that is not closed, of text after a closing one, and
// of a zero byte. kResourceLimit: a record of more than kCsvCellsMax cells.

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

inline constexpr std::size_t kCsvCellsMax = 65536;

class CsvReader {
 public:
  explicit CsvReader(std::string_view text);  // which outlives the reader

  // The next record; false at the end.
  Result<bool> next(std::vector<std::string>& cells);
  std::size_t line() const { return record_line_; }  // on which that record began, from 1

 private:
  Result<std::string> cell();
  Result<std::string> quoted();
  bool at_end() const { return at_ == text_.size(); }
  bool at_line_end() const;
  void skip_line_end();

  std::string_view text_;
  std::size_t at_ = 0, line_ = 1, record_line_ = 0;
};

}  // namespace inkling
