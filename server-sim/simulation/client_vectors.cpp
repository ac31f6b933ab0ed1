#include "server-sim/simulation/client_vectors.h"

#include <algorithm>
#include <bit>

namespace inkling {

std::vector<float> ClientVectors::get(std::uint64_t client, std::size_t length) const {
  const std::lock_guard lock(mutex_);
  const auto found = values_.find(client);
  return found == values_.end() ? std::vector<float>(length, 0.0f) : found->second;
}

void ClientVectors::put(std::uint64_t client, std::vector<float> values) {
  const std::lock_guard lock(mutex_);
  values_[client] = std::move(values);
}

Bytes ClientVectors::save() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint64_t> clients;
  for (const auto& [client, values] : values_) clients.push_back(client);
  std::sort(clients.begin(), clients.end());
  ByteWriter writer;
  writer.u64(clients.size());
  for (const std::uint64_t client : clients) {
    const auto& values = values_.at(client);
    writer.u64(client);
    writer.u64(values.size());
    for (const float v : values) writer.u32(std::bit_cast<std::uint32_t>(v));
  }
  return writer.take();
}

Result<void> ClientVectors::load(ByteSpan bytes) {
  const std::lock_guard lock(mutex_);
  values_.clear();
  ByteReader reader(bytes);
  const std::uint64_t count = reader.u64();
  for (std::uint64_t i = 0; i < count && reader.remaining() >= 16; ++i) {
    const std::uint64_t client = reader.u64(), length = reader.u64();
    if (length > reader.remaining() / 4) break;
    std::vector<float>& values = values_[client];
    for (std::uint64_t j = 0; j < length; ++j) values.push_back(std::bit_cast<float>(reader.u32()));
  }
  if (values_.size() != count || !reader.finished())
    return fail(ErrorCode::kCorrupt, "checkpoint: vectors of ", values_.size(),
                " clients, expected ", count);
  return {};
}

}  // namespace inkling
