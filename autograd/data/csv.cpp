#include "autograd/data/csv.h"

namespace inkling {

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

CsvReader::CsvReader(std::string_view text) : text_(text) {
  if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
}

bool CsvReader::at_line_end() const {
  return text_[at_] == '\n' || text_.substr(at_).starts_with("\r\n");
}

void CsvReader::skip_line_end() {
  at_ += text_[at_] == '\n' ? 1 : 2;
  ++line_;
}

Result<std::string> CsvReader::quoted() {
  const std::size_t first_line = line_;
  std::string value;
  for (++at_; !at_end(); ++at_) {
    const char c = text_[at_];
    if (c == '\0') break;
    if (c == '\n') ++line_;
    if (c == '"') {
      if (!text_.substr(at_ + 1).starts_with('"')) {
        ++at_;
        if (at_end() || text_[at_] == ',' || at_line_end()) return value;
        return fail(ErrorCode::kCorrupt, "line ", line_, ": text after a closing quote");
      }
      ++at_;
    }
    value += c;
  }
  if (at_end())
    return fail(ErrorCode::kCorrupt, "line ", first_line, ": a quote that is not closed");
  return fail(ErrorCode::kCorrupt, "line ", line_, ": a zero byte");
}

Result<std::string> CsvReader::cell() {
  if (!at_end() && text_[at_] == '"') return quoted();
  const std::size_t begin = at_;
  for (; !at_end() && text_[at_] != ',' && !at_line_end(); ++at_) {
    if (text_[at_] == '"')
      return fail(ErrorCode::kCorrupt, "line ", line_, ": a quote inside a cell without quotes");
    if (text_[at_] == '\0') return fail(ErrorCode::kCorrupt, "line ", line_, ": a zero byte");
  }
  return std::string(text_.substr(begin, at_ - begin));
}

Result<bool> CsvReader::next(std::vector<std::string>& cells) {
  cells.clear();
  while (!at_end() && at_line_end()) skip_line_end();
  if (at_end()) return false;
  record_line_ = line_;
  while (true) {
    if (cells.size() == kCsvCellsMax) {
      return fail(ErrorCode::kResourceLimit, "line ", record_line_, ": more than ", kCsvCellsMax,
                  " cells");
    }
    INK_TRY(cells.emplace_back(), cell());
    if (at_end()) return true;
    if (text_[at_] == ',') {
      ++at_;
      continue;
    }
    skip_line_end();
    return true;
  }
}

}  // namespace inkling
