#pragma once
// ClientVectors: what an algorithm keeps on each device between its rounds (SCAFFOLD's control
// variate, a personal layer, a sparsifier's remainder): one f32 vector a client that has taken
// part.
//
// They lie in a file without a name, which goes when the object goes: memory is two numbers for
// each such client, disk follows participation and not the population. Any thread; two threads
// never play one client at once. The first error of the file latches: look at status() before what
// was read is believed.

#include <cstdint>
#include <mutex>
#include <span>
#include <unordered_map>

#include "runtime/base/bytes.h"

namespace inkling {

class ClientVectors {
 public:
  explicit ClientVectors(std::size_t length);  // of each vector
  ~ClientVectors();
  ClientVectors(const ClientVectors&) = delete;
  ClientVectors& operator=(const ClientVectors&) = delete;

  std::size_t length() const { return length_; }
  // values: f32[length()]. False, and they stay as they are: the client has stored nothing.
  bool get(std::uint64_t client, std::span<float> values) const;
  void put(std::uint64_t client, std::span<const float> values);
  Result<void> status() const;

  Bytes save() const;  // in order of the client
  Result<void> load(ByteSpan bytes);

 private:
  void latch(const char* what) const;

  std::size_t length_;
  int file_ = -1;
  mutable std::mutex mutex_;
  mutable Result<void> status_;
  std::unordered_map<std::uint64_t, std::uint64_t> slots_;  // in the file, by client
};

}  // namespace inkling
