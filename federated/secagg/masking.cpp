#include "federated/secagg/masking.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "federated/secagg/packing.h"

namespace inkling::secagg {

namespace {

static_assert(std::endian::native == std::endian::little, "lanes are read as they lie");

constexpr std::size_t kChunkBytes = std::size_t{1} << 14;  // keystream stays in the L1 cache

// Fuses expansion and addition: a chunk of keystream is made and added while it is in the cache.
template <typename Lanes>
void add_keystream(Lanes& lanes, const StreamKey& key, Sign sign) {
  using T = typename Lanes::value_type;
  constexpr std::size_t kChunk = kChunkBytes / sizeof(T);
  std::vector<T, WipingAllocator<T>> chunk(std::min(kChunk, lanes.size()));
  Keystream stream(key);
  for (std::size_t begin = 0; begin < lanes.size(); begin += kChunk) {
    const std::size_t count = std::min(kChunk, lanes.size() - begin);
    stream.fill({reinterpret_cast<std::uint8_t*>(chunk.data()), count * sizeof(T)});
    T* lane = lanes.data() + begin;
    if (sign == Sign::kAdd) {
      for (std::size_t i = 0; i < count; ++i) lane[i] = static_cast<T>(lane[i] + chunk[i]);
    } else {
      for (std::size_t i = 0; i < count; ++i) lane[i] = static_cast<T>(lane[i] - chunk[i]);
    }
  }
}

}  // namespace

unsigned lane_bits(unsigned ring_bits) {
  if (ring_bits <= 16) return 16;
  return ring_bits <= 32 ? 32 : 64;
}

MaskedSum::MaskedSum(unsigned ring_bits, std::uint64_t length)
    : ring_bits_(ring_bits), length_(length) {
  if (lane_bits(ring_bits) == 16) lanes_ = Lanes<std::uint16_t>(length);
  if (lane_bits(ring_bits) == 32) lanes_ = Lanes<std::uint32_t>(length);
  if (lane_bits(ring_bits) == 64) lanes_ = Lanes<std::uint64_t>(length);
}

Result<void> MaskedSum::add_values(std::span<const std::uint64_t> values) {
  if (values.size() != length_) {
    return fail(ErrorCode::kInvalidArgument, "ring vector: ", values.size(), " values, expected ",
                length_);
  }
  std::uint64_t all = 0;
  for (const std::uint64_t v : values) all |= v;
  if (all >> ring_bits_ != 0) {
    return fail(ErrorCode::kInvalidArgument, "ring vector: a value is not below 2^", ring_bits_);
  }
  std::visit(
      [&](auto& lanes) {
        using T = typename std::decay_t<decltype(lanes)>::value_type;
        for (std::size_t i = 0; i < lanes.size(); ++i) {
          lanes[i] = static_cast<T>(lanes[i] + static_cast<T>(values[i]));
        }
      },
      lanes_);
  return {};
}

Result<void> MaskedSum::add_packed(ByteSpan packed) {
  INK_TRY(BitReader reader, BitReader::open(packed, length_, ring_bits_));
  std::visit(
      [&](auto& lanes) {
        using T = typename std::decay_t<decltype(lanes)>::value_type;
        if (ring_bits_ == 8 * sizeof(T)) {  // the packed form is the lanes themselves
          for (std::size_t i = 0; i < lanes.size(); ++i) {
            T value;
            std::memcpy(&value, packed.data() + i * sizeof(T), sizeof(T));
            lanes[i] = static_cast<T>(lanes[i] + value);
          }
          return;
        }
        for (T& lane : lanes) lane = static_cast<T>(lane + static_cast<T>(reader.next()));
      },
      lanes_);
  return {};
}

void MaskedSum::apply_mask(const StreamKey& key, Sign sign) {
  std::visit([&](auto& lanes) { add_keystream(lanes, key, sign); }, lanes_);
}

Bytes MaskedSum::packed() const {
  return std::visit(
      [&](const auto& lanes) {
        using T = typename std::decay_t<decltype(lanes)>::value_type;
        if (ring_bits_ == 8 * sizeof(T)) {
          const auto* bytes = reinterpret_cast<const std::uint8_t*>(lanes.data());
          return Bytes(bytes, bytes + lanes.size() * sizeof(T));
        }
        BitPacker packer(length_, ring_bits_);
        for (const T lane : lanes) packer.push(lane);
        return packer.finish();
      },
      lanes_);
}

std::vector<std::uint64_t> MaskedSum::values() const {
  const std::uint64_t mask = (std::uint64_t{1} << ring_bits_) - 1;
  std::vector<std::uint64_t> out;
  out.reserve(length_);
  std::visit(
      [&](const auto& lanes) {
        for (const auto lane : lanes) out.push_back(lane & mask);
      },
      lanes_);
  return out;
}

}  // namespace inkling::secagg
