#pragma once
// ModelStore: the versions of one model on one device, in a folder of its own.
//
// Versions only go up: a version below the highest ever stored is refused, and so is another
// content under a known version, so nobody can bring an old model back (the rollback attack of the
// TUF specification). The device itself may step back with rollback() when a version does worse;
// the version it left stays refused.
//
// A crash at any point leaves the old current version or the new one, whole. The newest
// kModelVersionsKept versions keep their files. One thread at a time.

#include <optional>

#include "runtime/base/sha256.h"
#include "storage/database.h"

namespace inkling {

inline constexpr std::size_t kModelVersionsKept = 3;
inline constexpr std::uint64_t kModelBytesMax = std::uint64_t{1} << 30;

struct StoredModel {
  std::uint64_t version = 0;
  Sha256Digest digest{};
  std::uint64_t bytes = 0;
  Path file;
};

class ModelStore {
 public:
  // Opens or creates the folder and deletes files that a crash left without an entry.
  static Result<ModelStore> open(const Path& folder);

  // The version in use; kNotFound before the first put. Reads the index, not the file.
  Result<StoredModel> current();

  // current() with its file read and its digest checked; kCorrupt when it differs (rollback() then
  // leads to the version before).
  Result<Bytes> load();

  // The newest version before the current one that has not been withdrawn, as load().
  // kFailedPrecondition: there is none.
  Result<Bytes> load_previous();

  // Stores and makes current. The current version with the same bytes again changes
  // nothing. kVerification: the version is not above every earlier one, or has other bytes.
  // kResourceLimit: over kModelBytesMax.
  Result<StoredModel> put(std::uint64_t version, ByteSpan bytes);

  // Withdraws the current version and returns the newest one before it that has not been withdrawn.
  // kFailedPrecondition: there is none; nothing changes.
  Result<StoredModel> rollback();

 private:
  ModelStore(Path folder, Database database)
      : folder_(std::move(folder)), database_(std::move(database)) {}
  Path file_of(std::uint64_t version) const;
  Result<StoredModel> previous();
  static Result<Bytes> read(const StoredModel& model);
  Result<std::optional<StoredModel>> find(std::string_view condition, std::uint64_t version);
  Result<void> drop_old_files();
  Path folder_;
  Database database_;
};

}  // namespace inkling
