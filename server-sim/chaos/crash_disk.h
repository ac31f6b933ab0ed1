#pragma once
// CrashDisk: the SQLite files of one folder on a disk that stops at a chosen write, as they would
// look to the next process after kill -9 at that moment.
//
// The write at which it stops is torn: its first half arrives. From then on every write, truncation
// and deletion fails, also those with which SQLite tidies up when a connection closes, until
// revive(). What was written before is there; nothing is fsynced, because a process that ends loses
// no write that the kernel has taken. (Power loss is not modelled.)
//
// The first CrashDisk of a process makes its SQLite layer the process's default; files outside the
// folders of CrashDisks pass through untouched. One thread at a time for each disk.

#include <cstdint>
#include <memory>

#include "runtime/base/file.h"

namespace inkling {

class CrashDisk {
 public:
  // Creates the folder. Databases in it must be opened afterwards and closed before the disk goes.
  static Result<CrashDisk> create(const Path& folder);
  CrashDisk(CrashDisk&&) noexcept;
  ~CrashDisk();

  // `writes` more succeed.
  void stop_after(std::uint64_t writes);
  void stop();
  bool stopped() const;
  void revive();  // no later stop is pending either

  const Path& folder() const;  // resolved
  std::uint64_t writes() const;

  struct State;  // what the layer knows of the disk

 private:
  explicit CrashDisk(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling
