#pragma once
// Files: whole reads with a size cap, atomic writes, read-only maps.
// Errors: kNotFound (no such file), kResourceLimit (over the cap), kIo (everything else).

#include <cstdint>
#include <filesystem>
#include <memory>

#include "runtime/base/bytes.h"

namespace inkling {

using Path = std::filesystem::path;

inline constexpr std::uint64_t kReadBytesMax = std::uint64_t{1} << 30;

Result<Bytes> read_file(const Path& path, std::uint64_t bytes_max = kReadBytesMax);

// Writes to a temporary file beside path, syncs it, renames it over path and syncs the folder:
// after a crash the old bytes or the new ones are there, never a mixture. Creates missing parent
// folders.
Result<void> write_file(const Path& path, ByteSpan bytes);

// The bytes of a file, mapped read-only for the object's lifetime. Truncating the file meanwhile is
// the one thing that a map cannot survive (SIGBUS): replace files with write_file, never in place.
class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const Path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ByteSpan bytes() const { return bytes_; }

 private:
  explicit MappedFile(ByteSpan bytes) : bytes_(bytes) {}
  ByteSpan bytes_;
};

}  // namespace inkling
