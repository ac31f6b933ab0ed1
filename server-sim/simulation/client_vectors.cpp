#include "server-sim/simulation/client_vectors.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

namespace inkling {

ClientVectors::ClientVectors(std::size_t length) : length_(length) {
  std::error_code error;
  std::string path = (std::filesystem::temp_directory_path(error) / "inkling_clients_XXXXXX");
  file_ = ::mkostemp(path.data(), O_CLOEXEC);
  if (file_ < 0) {
    latch("open");
  } else {
    ::unlink(path.c_str());
  }
}

ClientVectors::~ClientVectors() {
  if (file_ >= 0) ::close(file_);
}

void ClientVectors::latch(const char* what) const {
  const std::lock_guard lock(mutex_);
  if (!status_) return;
  status_ = fail(ErrorCode::kIo, "vectors of clients: ", what,
                 " in the folder for temporary files: ", std::strerror(errno));
}

Result<void> ClientVectors::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool ClientVectors::get(std::uint64_t client, std::span<float> values) const {
  std::uint64_t slot = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = slots_.find(client);
    if (found == slots_.end()) return false;
    slot = found->second;
  }
  const auto bytes = static_cast<ssize_t>(values.size_bytes());
  if (::pread(file_, values.data(), values.size_bytes(), static_cast<off_t>(slot) * bytes) != bytes)
    latch("read");
  return true;
}

void ClientVectors::put(std::uint64_t client, std::span<const float> values) {
  std::uint64_t slot = 0;
  {
    const std::lock_guard lock(mutex_);
    slot = slots_.try_emplace(client, slots_.size()).first->second;
  }
  const auto bytes = static_cast<ssize_t>(values.size_bytes());
  if (::pwrite(file_, values.data(), values.size_bytes(), static_cast<off_t>(slot) * bytes) !=
      bytes)
    latch("write");
}

Bytes ClientVectors::save() const {
  std::vector<std::uint64_t> clients;
  for (const auto& [client, slot] : slots_) clients.push_back(client);
  std::sort(clients.begin(), clients.end());
  ByteWriter writer;
  writer.u64(clients.size());
  std::vector<float> values(length_);
  for (const std::uint64_t client : clients) {
    writer.u64(client);
    get(client, values);
    for (const float v : values) writer.u32(std::bit_cast<std::uint32_t>(v));
  }
  return writer.take();
}

Result<void> ClientVectors::load(ByteSpan bytes) {
  slots_.clear();
  ByteReader reader(bytes);
  const std::uint64_t count = reader.u64();
  const std::size_t each = sizeof(std::uint64_t) + length_ * sizeof(float);
  if (reader.remaining() / each != count || reader.remaining() % each != 0) {
    return fail(ErrorCode::kCorrupt, "checkpoint: ", reader.remaining(), " bytes of vectors of ",
                count, " clients, expected ", each, " each");
  }
  std::vector<float> values(length_);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t client = reader.u64();
    for (float& v : values) v = std::bit_cast<float>(reader.u32());
    put(client, values);
  }
  return status();
}

}  // namespace inkling
