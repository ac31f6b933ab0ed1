#include "tools/kernel_cache.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

namespace inkling::tools {

namespace {

constexpr int kVersion = 1;

using Json = nlohmann::ordered_json;

bool is_entry(const Json& entry) {
  if (!entry.is_object()) return false;
  for (const char* key : {"cpu", "node", "kernel"}) {
    if (!entry.contains(key) || !entry[key].is_string()) return false;
  }
  return true;
}

// The file, checked whole.
Result<Json> read_checked(const Path& path) {
  INK_TRY(const Bytes bytes, read_file(path, kKernelCacheBytesMax));
  const auto corrupt = [&](const auto&... why) {
    return fail(ErrorCode::kCorrupt, path.string(), ": not a file of kernel choices: ", why...);
  };
  Json file = Json::parse(as_text(bytes), nullptr, false);
  if (!file.is_object()) return corrupt("expected a JSON object");
  const auto version = file.find("schema_version");
  if (version == file.end() || !version->is_number_integer()) return corrupt("no schema_version");
  if (*version != kVersion)
    return fail(ErrorCode::kUnsupported, path.string(), ": schema_version ", version->dump(),
                ", this version reads ", kVersion);
  const auto choices = file.find("choices");
  if (choices == file.end() || !choices->is_array()) return corrupt("no list of choices");
  for (std::size_t i = 0; i < choices->size(); ++i) {
    if (!is_entry((*choices)[i]))
      return corrupt("choice ", i, ": expected texts for cpu, node and kernel");
  }
  return file;
}

}  // namespace

Result<KernelChoice> read_kernel_cache(const Path& path) {
  INK_TRY(const Json file, read_checked(path));
  const std::string cpu = cpu_name();
  KernelChoice choice;
  for (const Json& entry : file["choices"]) {
    if (entry["cpu"] == cpu)
      choice.set(entry["node"].get<std::string>(), entry["kernel"].get<std::string>());
  }
  return choice;
}

Result<void> update_kernel_cache(const Path& path, const KernelSearch& found) {
  Json choices = Json::array();
  const std::string cpu = cpu_name();
  if (std::filesystem::exists(path)) {
    INK_TRY(const Json before, read_checked(path));
    std::set<std::string> measured;
    for (const KernelSearch::Node& node : found.nodes) measured.insert(node.key);
    for (const Json& entry : before["choices"]) {
      if (entry["cpu"] != cpu || measured.count(entry["node"].get<std::string>()) == 0)
        choices.push_back(entry);
    }
  }
  for (const auto& [node, kernel] : found.choice.rows())
    choices.push_back({{"cpu", cpu}, {"node", node}, {"kernel", kernel}});
  const Json file{{"schema_version", kVersion}, {"choices", choices}};
  return write_file(path, as_bytes(file.dump(1) + "\n"));
}

Path default_kernel_cache() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache) return Path(cache) / "inkling" / "kernels.json";
  const char* home = std::getenv("HOME");
  return Path(home ? home : ".") / ".cache" / "inkling" / "kernels.json";
}

Result<KernelChoice> kernel_choice(const TuneOptions& options) {
  if (options.off || options.file.empty()) return KernelChoice();
  return read_kernel_cache(options.file);
}

}  // namespace inkling::tools
