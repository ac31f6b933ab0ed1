// After a round no key of it is left: not in the memory of the process that played all devices and
// the server, and not in the files of any of them.

#include <gtest/gtest.h>

#include <fstream>
#include <unordered_map>

#include "tests/server_sim/task_world.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

constexpr std::size_t kDevices = 4;
constexpr std::uint8_t kDisguise = 0xa5;
using Canary = std::array<std::uint8_t, 32>;  // a secret, disguised

// The test's own search must not find what it looks for.
std::uint64_t head_of(const std::uint8_t* bytes, std::uint8_t disguise) {
  std::uint64_t head = 0;
  for (int i = 0; i < 8; ++i) head = head << 8 | static_cast<std::uint8_t>(bytes[i] ^ disguise);
  return head;
}

class CanaryEntropy final : public secagg::EntropySource {
 public:
  CanaryEntropy(std::uint64_t index, std::vector<Canary>& canaries)
      : source_(6, index), canaries_(canaries) {}
  Result<void> fill(std::span<std::uint8_t> out) override {
    INK_CHECK_OK(source_.fill(out));
    if (out.size() != sizeof(Canary)) return {};  // a key or a seed has 32 bytes
    Canary& canary = canaries_.emplace_back();
    for (std::size_t i = 0; i < out.size(); ++i)
      canary[i] = static_cast<std::uint8_t>(out[i] ^ kDisguise);
    return {};
  }

 private:
  secagg::TestEntropy source_;
  std::vector<Canary>& canaries_;
};

class Scanner {
 public:
  explicit Scanner(const std::vector<Canary>& canaries) : canaries_(canaries), seen_(1 << 16) {
    for (std::size_t i = 0; i < canaries.size(); ++i) {
      const std::uint64_t head = head_of(canaries[i].data(), 0);
      heads_.emplace(head, i);
      seen_[head >> 48] = true;
    }
  }

  std::size_t count(ByteSpan memory) const {
    std::size_t found = 0;
    for (std::size_t i = 0; i + sizeof(Canary) <= memory.size(); ++i) {
      const std::size_t quick = std::size_t(std::uint8_t(memory[i] ^ kDisguise)) << 8 |
                                std::uint8_t(memory[i + 1] ^ kDisguise);
      if (!seen_[quick]) continue;
      const auto at = heads_.find(head_of(memory.data() + i, kDisguise));
      if (at == heads_.end()) continue;
      const Canary& canary = canaries_[at->second];
      bool same = true;
      for (std::size_t k = 0; k < canary.size(); ++k)
        same = same && canary[k] == std::uint8_t(memory[i + k] ^ kDisguise);
      found += same ? 1 : 0;
    }
    return found;
  }

 private:
  const std::vector<Canary>& canaries_;
  std::vector<bool> seen_;  // by the first two bytes
  std::unordered_map<std::uint64_t, std::size_t> heads_;
};

std::size_t count_in_memory(const Scanner& scanner) {
  std::ifstream maps("/proc/self/maps");
  std::ifstream memory("/proc/self/mem", std::ios::binary);
  std::size_t found = 0;
  Bytes buffer;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" rw") == std::string::npos || line.find("[v") != std::string::npos) continue;
    const std::uint64_t begin = std::stoull(line, nullptr, 16);
    const std::uint64_t end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
    constexpr std::uint64_t kPiece = 1 << 20;
    for (std::uint64_t at = begin; at < end; at += kPiece) {
      buffer.resize(std::min(kPiece + sizeof(Canary), end - at));
      memory.clear();
      memory.seekg(static_cast<std::streamoff>(at));
      memory.read(reinterpret_cast<char*>(buffer.data()), std::streamsize(buffer.size()));
      // The buffer would find itself: what it holds is gone before the region it lies in is read.
      found += scanner.count(ByteSpan(buffer).first(std::size_t(memory.gcount())));
      secagg::wipe(buffer.data(), buffer.size());
    }
  }
  return found;
}

std::size_t count_in_files(const Scanner& scanner, const Path& folder) {
  std::size_t found = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    Bytes bytes = read_file(entry.path(), std::uint64_t{1} << 30).value();
    found += scanner.count(bytes);
    secagg::wipe(bytes.data(), bytes.size());
  }
  return found;
}

class SecretsTest : public ScratchTest {};

TEST_F(SecretsTest, NoKeyOfARoundIsLeftInMemoryOrOnDisk) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer keeps freed memory, and maps terabytes to scan";
#endif
  std::vector<Canary> canaries;
  canaries.reserve(1000);
  {
    TaskWorld world(folder_, kDevices);
    world.devices[3].dies_after = "shares";  // its pair key is rebuilt by the server
    std::deque<CanaryEntropy> sources;
    for (std::size_t i = 0; i < kDevices; ++i) {
      world.devices[i].other_entropy = &sources.emplace_back(i, canaries);
    }
    for (std::size_t i = 0; i < kDevices; ++i) (void)world.step(i);
    ASSERT_EQ(canaries.size(), 3 * kDevices) << "two keys and a seed a device";
    EXPECT_EQ(count_in_files(Scanner(canaries), folder_), 0u) << "a record in clear";
    ASSERT_TRUE(world.run());
    ASSERT_EQ(world.reports().at(0).code, secagg::RoundCode::kOk);
    ASSERT_EQ(world.reports().at(0).survivors, kDevices - 1);
    ASSERT_TRUE(world.devices[3].state->erase_all());  // the lost device, when it leaves the round
  }
  const Scanner scanner(canaries);
  {  // The scanner can see.
    Bytes planted(100);
    for (std::size_t i = 0; i < sizeof(Canary); ++i)
      planted[33 + i] = static_cast<std::uint8_t>(canaries[5][i] ^ kDisguise);
    EXPECT_GE(count_in_memory(scanner), 1u);
    ASSERT_TRUE(write_file(folder_ / "planted", planted));
    secagg::wipe(planted.data(), planted.size());
    EXPECT_EQ(count_in_files(scanner, folder_), 1u);
    std::filesystem::remove(folder_ / "planted");
  }
  EXPECT_EQ(count_in_files(scanner, folder_), 0u);
  EXPECT_EQ(count_in_memory(scanner), 0u);
}

}  // namespace
}  // namespace inkling
