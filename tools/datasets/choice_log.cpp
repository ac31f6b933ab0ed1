#include "tools/datasets/choice_log.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace inkling {

namespace {

using Fields = std::vector<std::string>;

struct Table {
  Fields columns;
  std::vector<Fields> rows;
  std::vector<std::size_t> lines;  // where each row begins
};

constexpr std::size_t kColumnsMax = 1024;

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

template <typename T>
std::optional<T> integer_of(std::string_view text) {
  T value = 0;
  const auto end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

// RFC 4180: fields in quotes may hold commas, line ends and doubled quotes.
Result<Table> read_csv(std::string_view text) {
  Table table;
  Fields fields;
  std::string field;
  std::size_t line = 1, begun = 1;
  const auto finish = [&]() -> Result<void> {
    fields.push_back(std::move(field));
    field.clear();
    if (table.columns.empty()) {
      table.columns = std::move(fields);
      if (table.columns.size() > kColumnsMax) {
        return fail(ErrorCode::kResourceLimit, table.columns.size(), " columns, limit ",
                    kColumnsMax);
      }
    } else if (fields.size() != 1 || !fields[0].empty()) {  // an empty line is no row
      if (fields.size() != table.columns.size()) {
        return fail(ErrorCode::kInvalidArgument, "line ", begun, ": ", fields.size(),
                    " fields, expected ", table.columns.size());
      }
      table.rows.push_back(std::move(fields));
      table.lines.push_back(begun);
    }
    fields.clear();
    begun = line;
    return {};
  };
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (quoted) {
      if (c != '"') {
        field += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field += text[++i];
      } else {
        quoted = false;
      }
    } else if (c == '"' && field.empty()) {
      quoted = true;
    } else if (c == ',') {
      fields.push_back(std::move(field));
      field.clear();
    } else if (c == '\n') {
      INK_CHECK_OK(finish());
    } else if (c != '\r') {
      field += c;
    }
  }
  if (quoted) return fail(ErrorCode::kCorrupt, "line ", begun, ": a quote is never closed");
  if (!field.empty() || !fields.empty()) INK_CHECK_OK(finish());
  return table;
}

Result<std::string> text_of(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean())
    return value.is_boolean() ? std::string(value.get<bool>() ? "1" : "0") : value.dump();
  if (value.is_null()) return std::string();
  return fail(ErrorCode::kInvalidArgument, "a value that is a list or an object");
}

Result<Table> read_json_lines(std::string_view text) {
  Table table;
  std::map<std::string, std::size_t> index;
  std::vector<std::map<std::size_t, std::string>> rows;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto object = nlohmann::json::parse(one, nullptr, false);
    if (!object.is_object()) return fail(ErrorCode::kCorrupt, "line ", line, ": not a JSON object");
    auto& row = rows.emplace_back();
    table.lines.push_back(line);
    for (const auto& [name, value] : object.items()) {
      const auto [entry, is_new] = index.try_emplace(name, index.size());
      if (is_new) table.columns.push_back(name);
      if (table.columns.size() > kColumnsMax)
        return fail(ErrorCode::kResourceLimit, "line ", line, ": over ", kColumnsMax, " keys");
      auto field = text_of(value);
      if (!field) return fail_within(field.error(), "line ", line, ": ", name);
      row[entry->second] = *std::move(field);
    }
  }
  for (auto& row : rows) {
    Fields fields(table.columns.size());
    for (auto& [at, field] : row) fields[at] = std::move(field);
    table.rows.push_back(std::move(fields));
  }
  return table;
}

// The columns with a meaning; every other one is a feature.
struct Columns {
  std::size_t user, request, item, chosen;
  std::optional<std::size_t> time_ms, position, server_score, is_none;
  std::vector<std::size_t> features;
};

Result<Columns> find_columns(const Table& table) {
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (!index.try_emplace(table.columns[i], i).second)
      return fail(ErrorCode::kInvalidArgument, "two columns named '", table.columns[i], "'");
  }
  std::set<std::size_t> known;
  const auto optional_column = [&](const char* name) -> std::optional<std::size_t> {
    const auto found = index.find(name);
    if (found == index.end()) return std::nullopt;
    known.insert(found->second);
    return found->second;
  };
  Columns c{};
  for (const auto& [name, place] : std::initializer_list<std::pair<const char*, std::size_t*>>{
           {"user", &c.user}, {"request", &c.request}, {"item", &c.item}, {"chosen", &c.chosen}}) {
    const auto found = optional_column(name);
    if (!found)
      return fail(ErrorCode::kInvalidArgument, "no column '", name,
                  "', expected user, request, item and chosen");
    *place = *found;
  }
  c.time_ms = optional_column("time_ms");
  c.position = optional_column("position");
  c.server_score = optional_column("server_score");
  c.is_none = optional_column("is_none");
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    if (!known.contains(i)) c.features.push_back(i);
  return c;
}

// A feature whose every given value is a number is numeric, normalised by what is there; else each
// of its most frequent values is a category.
FeatureSpec feature_of(const Table& table, std::size_t column) {
  FeatureSpec spec{.name = table.columns[column]};
  std::map<std::string, std::size_t> counts;
  double sum = 0, squares = 0, n = 0;
  bool numeric = true;
  for (const Fields& row : table.rows) {
    const std::string& field = row[column];
    if (field.empty()) continue;
    if (const auto v = number_of(field)) {
      sum += *v;
      squares += *v * *v;
      n += 1;
    } else {
      numeric = false;
    }
    if (field.size() <= kFeatureNameBytesMax) ++counts[field];
  }
  if (numeric) {
    spec.mean = n > 0 ? sum / n : 0;
    const double deviation =
        n > 0 ? std::sqrt(std::max(squares / n - spec.mean * spec.mean, 0.0)) : 0;
    spec.scale = deviation > 1e-9 ? deviation : 1;
    spec.missing = spec.mean;
    return spec;
  }
  std::vector<std::pair<std::string, std::size_t>> frequent(counts.begin(), counts.end());
  std::stable_sort(frequent.begin(), frequent.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  frequent.resize(std::min(frequent.size(), kChoiceLogCategoriesMax));
  spec.kind = FeatureKind::kCategory;
  for (const auto& [name, count] : frequent) spec.categories.push_back(name);
  return spec;
}

struct LoggedCandidate {
  Candidate candidate;
  double position = 0;
  bool chosen = false;
};
struct LoggedRequest {
  std::int64_t time_ms = 0;
  std::size_t line = 0;
  std::vector<LoggedCandidate> candidates;
};

Result<LoggedCandidate> read_candidate(const Fields& row, const Columns& c,
                                       std::span<const FeatureSpec> features) {
  LoggedCandidate logged;
  const auto item = integer_of<ItemId>(row[c.item]);
  if (!item)
    return fail(ErrorCode::kInvalidArgument, "item '", row[c.item], "', expected a whole number");
  logged.candidate.item = *item;
  const auto flag = [&](std::size_t column) -> Result<bool> {
    if (row[column] == "1" || row[column] == "true") return true;
    if (row[column] == "0" || row[column] == "false" || row[column].empty()) return false;
    return fail(ErrorCode::kInvalidArgument, "'", row[column], "', expected 0 or 1");
  };
  const auto real = [&](std::optional<std::size_t> column, double missing) -> Result<double> {
    if (!column || row[*column].empty()) return missing;
    const auto value = number_of(row[*column]);
    if (!value) return fail(ErrorCode::kInvalidArgument, "'", row[*column], "', expected a number");
    return *value;
  };
  INK_TRY(logged.chosen, flag(c.chosen));
  INK_TRY(logged.position, real(c.position, 0));
  INK_TRY(logged.candidate.server_score, real(c.server_score, 0));
  if (c.is_none) {
    INK_TRY(logged.candidate.is_none, flag(*c.is_none));
  }
  for (std::size_t i = 0; i < c.features.size(); ++i) {
    const std::string& field = row[c.features[i]];
    if (field.empty()) continue;
    if (features[i].kind == FeatureKind::kCategory) {
      logged.candidate.features.push_back({features[i].name, field});
    } else {
      logged.candidate.features.push_back({features[i].name, *number_of(field)});
    }
  }
  return logged;
}

// Whole numbers stand for themselves; other names are numbered in the order of their appearance.
UserId user_of(const std::string& name, std::map<std::string, UserId>& names) {
  return names.try_emplace(name, names.size() + 1).first->second;
}

Slate slate_of(UserId user, RequestId number, LoggedRequest& request) {
  auto& shown = request.candidates;
  std::stable_sort(shown.begin(), shown.end(),
                   [](const auto& a, const auto& b) { return a.position < b.position; });
  Slate slate{.user = user, .request = number, .time_ms = request.time_ms};
  for (LoggedCandidate& one : shown) {
    if (one.chosen) slate.chosen.push_back(slate.candidates.size());
    slate.candidates.push_back(std::move(one.candidate));
  }
  return slate;
}

Result<ChoiceData> people_of(const Table& table) {
  INK_TRY(const Columns c, find_columns(table));
  std::vector<FeatureSpec> features;
  for (const std::size_t column : c.features) features.push_back(feature_of(table, column));
  std::map<std::string, UserId> names;
  std::map<UserId, std::map<std::string, LoggedRequest>> people;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    const Fields& row = table.rows[i];
    auto logged = read_candidate(row, c, features);
    if (!logged) return fail_within(logged.error(), "line ", table.lines[i]);
    auto& requests = people[user_of(row[c.user], names)];
    const auto [entry, is_new] = requests.try_emplace(row[c.request]);
    if (is_new) {
      entry->second.line = table.lines[i];
      entry->second.time_ms = static_cast<std::int64_t>(table.lines[i]);
      if (c.time_ms) {
        const auto time = integer_of<std::int64_t>(row[*c.time_ms]);
        if (!time)
          return fail(ErrorCode::kInvalidArgument, "line ", table.lines[i], ": time_ms '",
                      row[*c.time_ms], "', expected a whole number");
        entry->second.time_ms = *time;
      }
    }
    entry->second.candidates.push_back(*std::move(logged));
  }
  if (c.is_none) features.push_back({.name = "is_none", .kind = FeatureKind::kIsNone});
  INK_TRY(FeatureSchema schema, FeatureSchema::create(1, std::move(features)));
  ChoiceData data{.schema = std::move(schema)};
  for (auto& [user, requests] : people) {
    std::vector<LoggedRequest> ordered;
    for (auto& [name, request] : requests) ordered.push_back(std::move(request));
    std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
      return std::pair(a.time_ms, a.line) < std::pair(b.time_ms, b.line);
    });
    Person person{.user = user};
    const auto train = static_cast<std::size_t>(
        std::ceil(kChoiceLogTrainShare * static_cast<double>(ordered.size())));
    for (std::size_t i = 0; i < ordered.size(); ++i)
      (i < train ? person.train : person.test).push_back(slate_of(user, i + 1, ordered[i]));
    data.people.push_back(std::move(person));
  }
  return data;
}

}  // namespace

Result<ChoiceData> load_choice_log(const Path& file) {
  INK_TRY(const Bytes bytes, read_file(file, kChoiceLogBytesMax));
  const std::string ending = file.extension().string();
  const bool json = ending == ".jsonl" || ending == ".ndjson";
  const auto read = [&]() -> Result<ChoiceData> {
    INK_TRY(const Table table, json ? read_json_lines(as_text(bytes)) : read_csv(as_text(bytes)));
    if (table.rows.empty()) return fail(ErrorCode::kInvalidArgument, "no rows");
    return people_of(table);
  };
  auto data = read();
  if (!data) return fail_within(std::move(data).error(), file.string());
  return data;
}

}  // namespace inkling
