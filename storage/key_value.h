#pragma once
// KeyValue: small named blobs of one device: patches, secure-aggregation records, trust state.
//
// Every call is one durable transaction: what it reports has reached the disk, also against a
// power loss, because a protocol may send its next message on the strength of it. Erased and
// replaced secrets are overwritten before the call returns, which rewrites the file; supersede()
// alone leaves that for later. A damaged value or file is kCorrupt and stays where it is: starting
// afresh on its own could answer twice what may be answered once.
//
// One thread at a time. Errors besides those of storage/database.h: kNotFound (no such name),
// kInvalidArgument (a name that is empty or too long), kResourceLimit (a value too large).

#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "storage/database.h"

namespace inkling {

inline constexpr std::size_t kKeyBytesMax = 256;
inline constexpr std::size_t kValueBytesMax = std::size_t{16} << 20;

class KeyValue {
 public:
  static Result<KeyValue> open(const Path& path);

  // One step of apply(): the name's new value, or none to erase it.
  struct Change {
    std::string_view name;
    std::optional<ByteSpan> value = std::nullopt;
  };
  // Several changes as one: after a crash all of them are there, or none.
  Result<void> apply(std::span<const Change> changes);
  Result<void> apply(std::initializer_list<Change> changes) {
    return apply(std::span<const Change>(changes.begin(), changes.size()));
  }

  Result<void> put(std::string_view name, ByteSpan value) { return apply({{name, value}}); }
  // As put, at the price of one write to the disk, but the replaced bytes may stay in the files
  // until the next call that overwrites. For a value that holds again what it replaces and is
  // erased later.
  Result<void> supersede(std::string_view name, ByteSpan value);
  // kFailedPrecondition when the name is taken, with whatever value.
  Result<void> insert(std::string_view name, ByteSpan value);
  Result<Bytes> get(std::string_view name);
  // Reads and erases in one transaction: of two callers, or before and after a crash, only one ever
  // gets the value.
  Result<Bytes> take(std::string_view name);
  Result<std::vector<std::string>> names(std::string_view prefix = "");  // in byte order

  // Both succeed when there is nothing to erase. kFailedPrecondition when another connection reads
  // meanwhile: the value is gone, but call again to overwrite the old copies.
  Result<void> erase(std::string_view name) { return apply({{name}}); }
  Result<void> erase_all();

 private:
  explicit KeyValue(Database database) : database_(std::move(database)) {}
  Result<void> write(std::string_view verb, std::string_view name, ByteSpan value);
  Result<void> remove(std::string_view name);
  Database database_;
};

}  // namespace inkling
