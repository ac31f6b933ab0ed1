#include "server-sim/chaos/crash_disk.h"

#include <sqlite3.h>

#include <limits>
#include <map>
#include <mutex>
#include <string>

namespace inkling {

struct CrashDisk::State {
  Path folder;
  std::uint64_t writes = 0;
  std::uint64_t stops_at = std::numeric_limits<std::uint64_t>::max();
  bool is_stopped = false;

  enum class Fate { kArrives, kTorn, kFails };
  Fate next_write() {
    if (is_stopped) return Fate::kFails;
    if (writes < stops_at) {
      ++writes;
      return Fate::kArrives;
    }
    is_stopped = true;
    return Fate::kTorn;
  }
};

namespace {

using Disk = CrashDisk::State;

// A file as SQLite sees it, followed by that of the layer below.
struct CrashFile {
  sqlite3_file base;
  Disk* disk;  // null: passes through
  sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

// What a SQLite layer is: process-wide.
struct Layer {
  std::mutex mutex;
  std::map<std::string, Disk*> disks;  // by folder
  sqlite3_vfs* below = nullptr;
  sqlite3_vfs vfs{};
};

Layer& layer() {
  static Layer the_layer;
  return the_layer;
}

CrashFile& file_of(sqlite3_file* file) { return *reinterpret_cast<CrashFile*>(file); }
bool is_stopped(sqlite3_file* file) {
  return file_of(file).disk != nullptr && file_of(file).disk->is_stopped;
}
const sqlite3_io_methods& methods_below(sqlite3_file* file) {
  return *file_of(file).below()->pMethods;
}

int close(sqlite3_file* file) { return methods_below(file).xClose(file_of(file).below()); }
int read(sqlite3_file* file, void* to, int count, sqlite3_int64 offset) {
  return methods_below(file).xRead(file_of(file).below(), to, count, offset);
}
int write(sqlite3_file* file, const void* from, int count, sqlite3_int64 offset) {
  Disk* disk = file_of(file).disk;
  const Disk::Fate fate = disk == nullptr ? Disk::Fate::kArrives : disk->next_write();
  if (fate == Disk::Fate::kFails) return SQLITE_IOERR_WRITE;
  const bool torn = fate == Disk::Fate::kTorn;
  const int arrives = torn ? count / 2 : count;
  const int status = methods_below(file).xWrite(file_of(file).below(), from, arrives, offset);
  return torn ? SQLITE_IOERR_WRITE : status;
}
int truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (is_stopped(file)) return SQLITE_IOERR_TRUNCATE;
  return methods_below(file).xTruncate(file_of(file).below(), size);
}
int sync(sqlite3_file* file, int flags) {
  if (is_stopped(file)) return SQLITE_IOERR_FSYNC;
  if (file_of(file).disk != nullptr) return SQLITE_OK;
  return methods_below(file).xSync(file_of(file).below(), flags);
}
int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return methods_below(file).xFileSize(file_of(file).below(), size);
}
int lock(sqlite3_file* file, int level) {
  return methods_below(file).xLock(file_of(file).below(), level);
}
int unlock(sqlite3_file* file, int level) {
  return methods_below(file).xUnlock(file_of(file).below(), level);
}
int check_reserved_lock(sqlite3_file* file, int* held) {
  return methods_below(file).xCheckReservedLock(file_of(file).below(), held);
}
int file_control(sqlite3_file* file, int operation, void* argument) {
  return methods_below(file).xFileControl(file_of(file).below(), operation, argument);
}
int sector_size(sqlite3_file* file) {
  return methods_below(file).xSectorSize(file_of(file).below());
}
int characteristics(sqlite3_file* file) {
  return methods_below(file).xDeviceCharacteristics(file_of(file).below());
}
int shm_map(sqlite3_file* file, int page, int bytes, int extend, void volatile** to) {
  return methods_below(file).xShmMap(file_of(file).below(), page, bytes, extend, to);
}
int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  return methods_below(file).xShmLock(file_of(file).below(), offset, count, flags);
}
void shm_barrier(sqlite3_file* file) { methods_below(file).xShmBarrier(file_of(file).below()); }
int shm_unmap(sqlite3_file* file, int remove) {
  return methods_below(file).xShmUnmap(file_of(file).below(), remove);
}

constexpr sqlite3_io_methods kMethods = {.iVersion = 2,  // no memory-mapped reads
                                         .xClose = close,
                                         .xRead = read,
                                         .xWrite = write,
                                         .xTruncate = truncate,
                                         .xSync = sync,
                                         .xFileSize = file_size,
                                         .xLock = lock,
                                         .xUnlock = unlock,
                                         .xCheckReservedLock = check_reserved_lock,
                                         .xFileControl = file_control,
                                         .xSectorSize = sector_size,
                                         .xDeviceCharacteristics = characteristics,
                                         .xShmMap = shm_map,
                                         .xShmLock = shm_lock,
                                         .xShmBarrier = shm_barrier,
                                         .xShmUnmap = shm_unmap,
                                         .xFetch = nullptr,
                                         .xUnfetch = nullptr};

Disk* disk_of(const char* name) {
  if (name == nullptr) return nullptr;  // a temporary file
  const std::string path(name);
  const std::lock_guard lock_disks(layer().mutex);
  const auto found = layer().disks.find(path.substr(0, path.rfind('/')));
  return found == layer().disks.end() ? nullptr : found->second;
}

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* flags_out) {
  file_of(file).disk = disk_of(name);
  file->pMethods = nullptr;
  if (is_stopped(file)) return SQLITE_CANTOPEN;
  const int status =
      layer().below->xOpen(layer().below, name, file_of(file).below(), flags, flags_out);
  if (status == SQLITE_OK) file->pMethods = &kMethods;
  return status;
}

int remove(sqlite3_vfs*, const char* name, int sync_folder) {
  const Disk* disk = disk_of(name);
  if (disk == nullptr) return layer().below->xDelete(layer().below, name, sync_folder);
  if (disk->is_stopped) return SQLITE_IOERR_DELETE;
  return layer().below->xDelete(layer().below, name, 0);
}

int register_layer() {
  Layer& l = layer();
  l.below = sqlite3_vfs_find(nullptr);
  if (l.below == nullptr) return SQLITE_ERROR;
  l.vfs = *l.below;  // everything that is not about files' contents is the layer's below
  l.vfs.zName = "inkling-crash";
  l.vfs.szOsFile = static_cast<int>(sizeof(CrashFile)) + l.below->szOsFile;
  l.vfs.xOpen = open;
  l.vfs.xDelete = remove;
  return sqlite3_vfs_register(&l.vfs, 1);
}

}  // namespace

Result<CrashDisk> CrashDisk::create(const Path& folder) {
  static const int registered = register_layer();
  if (registered != SQLITE_OK)
    return fail(ErrorCode::kIo, "crash disk: SQLite takes no layer: ", sqlite3_errstr(registered));
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  auto state = std::make_unique<Disk>();
  if (!error) state->folder = std::filesystem::canonical(folder, error);
  if (error) return fail(ErrorCode::kIo, "create ", folder.string(), ": ", error.message());
  const std::lock_guard lock_disks(layer().mutex);
  layer().disks[state->folder.string()] = state.get();
  return CrashDisk(std::move(state));
}

CrashDisk::CrashDisk(std::unique_ptr<State> state) : state_(std::move(state)) {}
CrashDisk::CrashDisk(CrashDisk&&) noexcept = default;
CrashDisk::~CrashDisk() {
  if (!state_) return;
  const std::lock_guard lock_disks(layer().mutex);
  layer().disks.erase(state_->folder.string());
}

void CrashDisk::stop_after(std::uint64_t writes) { state_->stops_at = state_->writes + writes; }
void CrashDisk::stop() { state_->is_stopped = true; }
bool CrashDisk::stopped() const { return state_->is_stopped; }
void CrashDisk::revive() {
  state_->is_stopped = false;
  state_->stops_at = std::numeric_limits<std::uint64_t>::max();
}
const Path& CrashDisk::folder() const { return state_->folder; }
std::uint64_t CrashDisk::writes() const { return state_->writes; }

}  // namespace inkling
