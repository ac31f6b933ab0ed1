#include "tools/simulation/toml_reader.h"

#include <toml++/toml.h>
#include <algorithm>
#include <numeric>
#include <sstream>

namespace inkling::tools {

namespace {

constexpr std::uint64_t kFileBytesMax = 1 << 20;

std::string place(const toml::node& node, std::string_view name) {
  const auto line = node.source().begin.line;
  return line == 0 ? std::string("--set") : concat(name, ":", line);
}

// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replace, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

Result<toml::table> parse_toml(std::string_view text, std::string_view name) {
  try {
    return toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::kInvalidArgument, name, ":", error.source().begin.line, ": ",
                error.description());
  }
}

// The leaves of a table as dotted paths.
void list_leaves(const toml::table& table, const std::string& prefix,
                 std::vector<std::pair<std::string, const toml::node*>>& leaves) {
  for (const auto& [key, node] : table) {
    const std::string path = concat(prefix, key.str());
    if (const toml::table* inner = node.as_table()) {
      list_leaves(*inner, path + ".", leaves);
    } else {
      leaves.emplace_back(path, &node);
    }
  }
}

}  // namespace

struct TomlReader::State {
  std::string name;
  toml::table root;
  std::vector<std::string> known;
  Result<void> status;

  const toml::node* find(std::string_view key) {
    known.emplace_back(key);
    return root.at_path(key).node();
  }
  void refuse(const toml::node& node, std::string_view key, std::string_view expected) {
    if (!status) return;
    std::ostringstream got;
    node.visit([&](const auto& value) {
      if constexpr (!toml::is_table<decltype(value)>) got << value;
    });
    status = fail(ErrorCode::kInvalidArgument, place(node, name), ": ", key, " = ", got.str(),
                  ": expected ", expected);
  }
};

TomlReader::TomlReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
TomlReader::TomlReader(TomlReader&&) noexcept = default;
TomlReader& TomlReader::operator=(TomlReader&&) noexcept = default;
TomlReader::~TomlReader() = default;

Result<TomlReader> TomlReader::open(const Path& file) {
  INK_TRY(const Bytes text, read_file(file, kFileBytesMax));
  return parse(as_text(text), file.string());
}

Result<TomlReader> TomlReader::parse(std::string_view text, std::string_view name) {
  auto state = std::make_unique<State>();
  state->name = name;
  INK_TRY(state->root, parse_toml(text, name));
  return TomlReader(std::move(state));
}

Result<void> TomlReader::set(std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == 0 || equals == assignment.npos)
    return fail(ErrorCode::kInvalidArgument, "--set ", assignment, ": expected KEY=VALUE");
  const std::string key(assignment.substr(0, equals)), value(assignment.substr(equals + 1));
  auto parsed = parse_toml(concat("value = ", value), "--set");
  if (!parsed) parsed = toml::table{{"value", value}};
  toml::table* table = &state_->root;
  std::size_t at = 0;
  for (std::size_t dot = key.find('.'); dot != key.npos; dot = key.find('.', at)) {
    const std::string part = key.substr(at, dot - at);
    at = dot + 1;
    if (!table->contains(part)) table->insert(part, toml::table{});
    table = (*table)[part].as_table();
    if (table == nullptr)
      return fail(ErrorCode::kInvalidArgument, "--set ", key, ": '", part, "' is not a table");
  }
  parsed->get("value")->visit(
      [&](const auto& node) { table->insert_or_assign(key.substr(at), node); });
  return {};
}

void TomlReader::read(std::string_view key, bool& value) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return;
  if (const auto* found = node->as_boolean()) {
    value = found->get();
  } else {
    state_->refuse(*node, key, "true or false");
  }
}

void TomlReader::read(std::string_view key, double& value) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return;
  if (const auto found = node->value<double>(); found && node->is_number()) {
    value = *found;
  } else {
    state_->refuse(*node, key, "a number");
  }
}

void TomlReader::read(std::string_view key, std::uint64_t& value) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return;
  if (const auto* found = node->as_integer(); found != nullptr && found->get() >= 0) {
    value = static_cast<std::uint64_t>(found->get());
  } else {
    state_->refuse(*node, key, "a whole number from 0");
  }
}

void TomlReader::read(std::string_view key, std::string& value) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return;
  if (const auto* found = node->as_string()) {
    value = found->get();
  } else {
    state_->refuse(*node, key, "a string");
  }
}

void TomlReader::read(std::string_view key, std::vector<std::int64_t>& value) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  if (array == nullptr || !(array->empty() || array->is_homogeneous<std::int64_t>())) {
    state_->refuse(*node, key, "a list of whole numbers");
    return;
  }
  value.clear();
  for (const toml::node& element : *array) value.push_back(element.as_integer()->get());
}

void TomlReader::read(std::string_view key, std::vector<std::string>& value) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  if (array == nullptr || !(array->empty() || array->is_homogeneous<std::string>())) {
    state_->refuse(*node, key, "a list of strings");
    return;
  }
  value.clear();
  for (const toml::node& element : *array) value.push_back(element.as_string()->get());
}

Result<void> TomlReader::finish() const {
  INK_CHECK_OK(state_->status);
  std::vector<std::pair<std::string, const toml::node*>> leaves;
  list_leaves(state_->root, "", leaves);
  const auto& known = state_->known;
  for (const auto& [path, node] : leaves) {
    if (std::find(known.begin(), known.end(), path) != known.end()) continue;
    const auto nearest = std::min_element(
        known.begin(), known.end(),
        [&, &p = path](const auto& a, const auto& b) { return distance(a, p) < distance(b, p); });
    const std::string hint =
        nearest == known.end() ? std::string() : concat("; did you mean '", *nearest, "'?");
    return fail(ErrorCode::kInvalidArgument, place(*node, state_->name), ": unknown key '", path,
                "'", hint);
  }
  return {};
}

std::string TomlReader::text() const {
  std::ostringstream out;
  out << state_->root << "\n";
  return std::move(out).str();
}

}  // namespace inkling::tools
