#pragma once
// Moving a damaged database out of the way: FILE, FILE-wal and FILE-shm become
// FILE.corrupt-TIME and so on. Only the latest damaged file is kept, so damage that comes back
// cannot fill the disk. Close every connection of this process first. Errors: kIo.

#include <cstdint>

#include "runtime/base/file.h"

namespace inkling {

Result<Path> move_to_quarantine(const Path& file, std::int64_t now_ms);  // the new path
Result<void> delete_quarantined(const Path& file);

}  // namespace inkling
