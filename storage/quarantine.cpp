#include "storage/quarantine.h"

namespace inkling {

namespace {

constexpr const char* kMark = ".corrupt-";

}  // namespace

Result<void> delete_quarantined(const Path& file) {
  const Path folder = file.has_parent_path() ? file.parent_path() : Path(".");
  const std::string prefix = concat(file.filename().string(), kMark);
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (!entry->path().filename().string().starts_with(prefix)) continue;
    std::error_code unlinked;
    std::filesystem::remove(entry->path(), unlinked);
    if (unlinked)
      return fail(ErrorCode::kIo, "delete ", entry->path().string(), ": ", unlinked.message());
  }
  if (error) return fail(ErrorCode::kIo, "list ", folder.string(), ": ", error.message());
  return {};
}

Result<Path> move_to_quarantine(const Path& file, std::int64_t now_ms) {
  INK_CHECK_OK(delete_quarantined(file));
  const Path aside = concat(file.string(), kMark, now_ms);
  for (const char* suffix : {"-wal", "-shm", ""}) {
    const Path from = concat(file.string(), suffix);
    std::error_code error;
    std::filesystem::rename(from, concat(aside.string(), suffix), error);
    if (error && error != std::errc::no_such_file_or_directory)
      return fail(ErrorCode::kIo, "rename ", from.string(), ": ", error.message());
  }
  return aside;
}

}  // namespace inkling
