#include "autograd/data/table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "autograd/data/csv.h"
#include "autograd/data/sqlite_rows.h"

namespace inkling {

namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The whole text as a number.
template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Found labels in the order of classes.
std::vector<std::string> sorted_classes(const std::set<std::string>& found) {
  std::vector<std::string> classes(found.begin(), found.end());
  const bool whole = std::all_of(classes.begin(), classes.end(), [](const std::string& text) {
    return number_in<std::int64_t>(text).has_value();
  });
  if (whole) {
    std::stable_sort(classes.begin(), classes.end(), [](const auto& a, const auto& b) {
      return *number_in<std::int64_t>(a) < *number_in<std::int64_t>(b);
    });
  }
  return classes;
}

}  // namespace

Result<TableBuilder> TableBuilder::create(const TableSource& source,
                                          const std::vector<std::string>& header) {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (!places.emplace(header[i], i).second)
      return fail(ErrorCode::kInvalidArgument, "two columns are named '", header[i], "'");
  }
  std::string known;
  for (const std::string& name : header) known += concat(known.empty() ? "" : ", ", name);
  if (known.size() > 200) known = concat(header.size(), " others");
  const auto place_of = [&](const std::string& name, const char* what) -> Result<std::size_t> {
    const auto found = places.find(name);
    if (found != places.end()) return found->second;
    return fail(ErrorCode::kNotFound, "no ", what, " '", name, "' among the columns ", known);
  };
  TableBuilder builder(source);
  builder.width_ = header.size();
  builder.table_.label_column = source.label;
  builder.table_.columns = source.columns;
  std::set<std::string> apart;
  if (!source.label.empty()) {
    INK_TRY(builder.label_, place_of(source.label, "label column"));
    apart.insert(source.label);
  }
  if (!source.group.empty()) {
    INK_TRY(builder.group_, place_of(source.group, "group column"));
    apart.insert(source.group);
  }
  for (const std::string& name : source.ignored) {
    INK_CHECK_OK(place_of(name, "column to ignore"));
    apart.insert(name);
  }
  if (source.columns.empty()) {
    for (const std::string& name : header) {
      if (!apart.contains(name)) builder.table_.columns.push_back(name);
    }
  }
  for (const std::string& name : builder.table_.columns) {
    INK_TRY(builder.numbers_.emplace_back(), place_of(name, "column"));
  }
  if (builder.numbers_.empty())
    return fail(ErrorCode::kInvalidArgument, "no column of numbers beside '", source.label, "'");
  return builder;
}

Result<void> TableBuilder::add(const std::vector<std::string>& cells, std::string name) {
  if (cells.size() != width_) {
    return fail(ErrorCode::kCorrupt, name, ": ", cells.size(), " cells, the header has ", width_);
  }
  if (table_.values.size() + numbers_.size() > kTableFloatsMax)
    return fail(ErrorCode::kResourceLimit, name, ": more than ", kTableFloatsMax, " numbers");
  for (std::size_t i = 0; i < numbers_.size(); ++i) {
    const std::string& text = cells[numbers_[i]];
    const auto value = number_in<double>(text);
    if (!value || !std::isfinite(static_cast<float>(*value))) {
      return fail(ErrorCode::kCorrupt, name, ", column '", table_.columns[i], "': got '", text,
                  "', expected a finite number");
    }
    table_.values.push_back(static_cast<float>(*value));
  }
  if (!source_.label.empty()) {
    texts_.emplace_back(trimmed(cells[label_]));
    if (texts_.back().empty() || texts_.back().find('\n') != std::string::npos) {
      return fail(ErrorCode::kCorrupt, name, ", column '", source_.label,
                  "': expected a label of one line");
    }
  }
  if (!source_.group.empty()) {
    table_.groups.push_back(cells[group_]);
    if (cells[group_].empty())
      return fail(ErrorCode::kCorrupt, name, ", column '", source_.group, "': expected a group");
  }
  table_.names.push_back(std::move(name));
  return {};
}

Result<Table> TableBuilder::finish() && {
  if (table_.names.empty()) return fail(ErrorCode::kInvalidArgument, "no rows below the header");
  if (source_.label.empty()) return std::move(table_);
  table_.classes = source_.classes.empty()
                       ? sorted_classes(std::set<std::string>(texts_.begin(), texts_.end()))
                       : source_.classes;
  if (table_.classes.size() < 2) {
    return fail(ErrorCode::kInvalidArgument, "column '", source_.label, "' has one class, '",
                table_.classes[0], "', expected at least two");
  }
  if (table_.classes.size() > kTableClassesMax) {
    return fail(ErrorCode::kInvalidArgument, "column '", source_.label, "' has ",
                table_.classes.size(), " classes in ", table_.names.size(),
                " rows, expected at most ", kTableClassesMax, ": labels are classes, not numbers");
  }
  std::map<std::string_view, std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < table_.classes.size(); ++i) numbers.emplace(table_.classes[i], i);
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    const auto found = numbers.find(texts_[i]);
    if (found == numbers.end()) {
      return fail(ErrorCode::kInvalidArgument, table_.names[i], ": label '", texts_[i],
                  "' is not one of the ", numbers.size(), " classes");
    }
    table_.labels.push_back(found->second);
  }
  return std::move(table_);
}

namespace {

Result<Table> read_csv(const TableSource& source, std::string_view text) {
  CsvReader reader(text);
  std::vector<std::string> cells;
  INK_TRY(const bool any, reader.next(cells));
  if (!any) return fail(ErrorCode::kInvalidArgument, "the file is empty");
  INK_TRY(TableBuilder builder, TableBuilder::create(source, cells));
  while (true) {
    INK_TRY(const bool more, reader.next(cells));
    if (!more) return std::move(builder).finish();
    INK_CHECK_OK(builder.add(cells, concat("line ", reader.line())));
  }
}

Result<Table> read_sqlite(const TableSource& source) {
  INK_TRY(SqliteRows rows, SqliteRows::open(source.path, source.table));
  INK_TRY(TableBuilder builder, TableBuilder::create(source, rows.columns()));
  std::vector<std::string> cells;
  for (std::size_t number = 1;; ++number) {
    INK_TRY(const bool more, rows.next(cells));
    if (!more) return std::move(builder).finish();
    INK_CHECK_OK(builder.add(cells, concat("row ", number)));
  }
}

}  // namespace

bool is_sqlite_file(ByteSpan head) {
  return as_text(head).starts_with(std::string_view("SQLite format 3\0", 16));
}

Result<Table> read_table(const TableSource& source) {
  const auto read = [&]() -> Result<Table> {
    INK_TRY(const auto file, MappedFile::open(source.path));
    if (is_sqlite_file(file->bytes())) return read_sqlite(source);
    return read_csv(source, as_text(file->bytes()));
  };
  auto table = read();
  if (!table && table.error().message.find(source.path.string()) == std::string::npos)
    return fail_within(std::move(table).error(), source.path.string());
  return table;
}

}  // namespace inkling
