#include "storage/model_store.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

namespace inkling {

namespace {

constexpr std::uint32_t kApplication = 0x494e4b33;  // "INK3"
constexpr std::array<std::string_view, 1> kSchema = {
    "CREATE TABLE version(number INTEGER PRIMARY KEY, digest BLOB NOT NULL,"
    " bytes INTEGER NOT NULL, withdrawn INTEGER NOT NULL);"};
constexpr const char* kSuffix = ".model";
constexpr std::uint64_t kVersionMax = std::numeric_limits<std::int64_t>::max();
constexpr std::string_view kCurrent = "withdrawn = 0 AND number <= ?";

Result<void> remove_file(const Path& file) {
  std::error_code error;
  std::filesystem::remove(file, error);
  if (error) return fail(ErrorCode::kIo, "delete ", file.string(), ": ", error.message());
  return {};
}

}  // namespace

Path ModelStore::file_of(std::uint64_t version) const { return folder_ / concat(version, kSuffix); }

Result<ModelStore> ModelStore::open(const Path& folder) {
  INK_TRY(Database database, Database::open(folder / "versions.db"));
  INK_CHECK_OK(database.migrate(kApplication, kSchema));
  ModelStore store(folder, std::move(database));
  INK_CHECK_OK(store.drop_old_files());
  return store;
}

// The highest version that meets the condition.
Result<std::optional<StoredModel>> ModelStore::find(std::string_view condition,
                                                    std::uint64_t version) {
  INK_TRY(Statement statement,
          database_.prepare(concat("SELECT number, digest, bytes FROM version WHERE ", condition,
                                   " ORDER BY number DESC LIMIT 1")));
  statement.bind_integer(1, static_cast<std::int64_t>(version));
  INK_TRY(const bool found, statement.step());
  if (!found) return std::optional<StoredModel>();
  const ByteSpan digest = statement.blob(1);
  StoredModel model;
  if (statement.integer(0) < 0 || digest.size() != model.digest.size())
    return fail(ErrorCode::kCorrupt, database_.path().string(), ": a damaged version entry");
  model.version = static_cast<std::uint64_t>(statement.integer(0));
  std::copy(digest.begin(), digest.end(), model.digest.begin());
  model.bytes = static_cast<std::uint64_t>(statement.integer(2));
  model.file = file_of(model.version);
  return std::optional<StoredModel>(model);
}

Result<StoredModel> ModelStore::current() {
  INK_TRY(const auto model, find(kCurrent, kVersionMax));
  if (!model) return fail(ErrorCode::kNotFound, folder_.string(), ": no model stored yet");
  return *model;
}

Result<Bytes> ModelStore::load() {
  INK_TRY(const StoredModel model, current());
  return read(model);
}

Result<Bytes> ModelStore::load_previous() {
  INK_TRY(const StoredModel model, previous());
  return read(model);
}

Result<Bytes> ModelStore::read(const StoredModel& model) {
  INK_TRY(Bytes bytes, read_file(model.file, kModelBytesMax));
  if (sha256(bytes) == model.digest) return bytes;
  return fail(ErrorCode::kCorrupt, model.file.string(), ": SHA-256 ", to_hex(sha256(bytes)),
              ", expected ", to_hex(model.digest));
}

Result<StoredModel> ModelStore::put(std::uint64_t version, ByteSpan bytes) {
  if (version > kVersionMax)
    return fail(ErrorCode::kInvalidArgument, "model version ", version, ": limit ", kVersionMax);
  if (bytes.size() > kModelBytesMax) {
    return fail(ErrorCode::kResourceLimit, "model version ", version, ": ", bytes.size(),
                " bytes, limit ", kModelBytesMax);
  }
  const Sha256Digest digest = sha256(bytes);
  INK_TRY(const auto newest, find("number <= ?", kVersionMax));
  if (newest && newest->version >= version) {
    INK_TRY(const auto used, find(kCurrent, kVersionMax));
    if (used && used->version == version && used->digest == digest) return *used;
    return fail(ErrorCode::kVerification, folder_.string(), ": model version ", version,
                ", expected above ", newest->version, ", or the current bytes again");
  }
  // The file before the entry: an entry always has its file, and open() deletes a file without one.
  INK_CHECK_OK(write_file(file_of(version), bytes));
  INK_TRY(Statement insert, database_.prepare("INSERT INTO version VALUES(?,?,?,0)"));
  insert.bind_integer(1, static_cast<std::int64_t>(version))
      .bind_blob(2, digest)
      .bind_integer(3, static_cast<std::int64_t>(bytes.size()));
  INK_CHECK_OK(insert.run());
  INK_CHECK_OK(drop_old_files());
  return current();
}

Result<StoredModel> ModelStore::previous() {
  INK_TRY(const StoredModel used, current());
  INK_TRY(const auto before, find("withdrawn = 0 AND number < ?", used.version));
  std::error_code error;
  if (!before || !std::filesystem::exists(before->file, error)) {
    return fail(ErrorCode::kFailedPrecondition, folder_.string(), ": no version before ",
                used.version, " to go back to");
  }
  return *before;
}

Result<StoredModel> ModelStore::rollback() {
  INK_TRY(const StoredModel bad, current());
  INK_TRY(const StoredModel before, previous());
  INK_TRY(Statement withdraw,
          database_.prepare("UPDATE version SET withdrawn = 1 WHERE number = ?"));
  INK_CHECK_OK(withdraw.bind_integer(1, static_cast<std::int64_t>(bad.version)).run());
  INK_CHECK_OK(drop_old_files());
  return before;
}

// Keeps the files of the newest versions in use; entries stay, they remember what was seen.
Result<void> ModelStore::drop_old_files() {
  std::vector<Path> kept;
  for (std::uint64_t below = kVersionMax; kept.size() < kModelVersionsKept;) {
    INK_TRY(const auto model, find(kCurrent, below));
    if (!model) break;
    kept.push_back(model->file.filename());
    if (model->version == 0) break;
    below = model->version - 1;
  }
  std::vector<Path> unwanted;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder_, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const Path name = entry->path().filename();
    const bool ours = name.extension() == kSuffix || name.extension() == ".tmp";
    if (ours && std::find(kept.begin(), kept.end(), name) == kept.end())
      unwanted.push_back(entry->path());
  }
  if (error) return fail(ErrorCode::kIo, "list ", folder_.string(), ": ", error.message());
  for (const Path& file : unwanted) INK_CHECK_OK(remove_file(file));
  return {};
}

}  // namespace inkling
