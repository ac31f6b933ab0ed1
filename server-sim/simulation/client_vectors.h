#pragma once
// ClientVectors: what an algorithm keeps on each device between its rounds (SCAFFOLD's control
// variate, a personal head): one f32 vector a client that has taken part, so memory follows
// participation and not the population. Any thread; two threads never play one client at once.

#include <cstdint>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/base/bytes.h"

namespace inkling {

class ClientVectors {
 public:
  // Zeros of that length until the client has stored something.
  std::vector<float> get(std::uint64_t client, std::size_t length) const;
  void put(std::uint64_t client, std::vector<float> values);

  Bytes save() const;  // in order of the client
  Result<void> load(ByteSpan bytes);

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::vector<float>> values_;
};

}  // namespace inkling
