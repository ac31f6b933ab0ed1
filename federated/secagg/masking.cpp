#include "federated/secagg/masking.h"

#include <algorithm>
#include <array>
#include <bit>

#include "federated/secagg/packing.h"

namespace inkling::secagg {

namespace {

static_assert(std::endian::native == std::endian::little, "lanes are read as they lie");

constexpr std::size_t kPassBytes = std::size_t{1} << 14;  // of lanes, half of an L1 cache

// A keystream that OpenSSL makes, a pass at a time.
class ExpandedStream {
 public:
  explicit ExpandedStream(const StreamKey& key) : stream_(key) {}

  template <typename T>
  void accumulate(std::span<T> lanes, Sign sign) {
    std::array<T, kPassBytes / sizeof(T)> words;
    stream_.fill({reinterpret_cast<std::uint8_t*>(words.data()), lanes.size_bytes()});
    if (sign == Sign::kAdd) {
      for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = static_cast<T>(lanes[i] + words[i]);
    } else {
      for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = static_cast<T>(lanes[i] - words[i]);
    }
    wipe(words.data(), lanes.size_bytes());
  }

 private:
  Keystream stream_;
};

using MaskStream = std::variant<AesCounter, ExpandedStream>;

MaskStream open_stream(const StreamKey& key, AesPath path) {
  if (key.suite == Suite::kChaCha20 || path == AesPath::kOpenSsl) return ExpandedStream(key);
  const ByteSpan material = key.material.reveal();
  const std::size_t key_bytes = key.suite == Suite::kAes128Ctr ? 16 : 32;
  return AesCounter(material.first(key_bytes),
                    material.subspan(key_bytes).first<AesCounter::kBlockBytes>(), path);
}

void prefetch(const std::uint8_t* memory, std::size_t size) {
  constexpr std::size_t kLine = 64;
  for (std::size_t i = 0; i < size; i += kLine) __builtin_prefetch(memory + i, 1);
}

// Applies the masks to one pass of lanes after the other, and gives each to `done` while it is in
// the cache. A pass but the last holds a multiple of eight lanes.
template <typename Lanes, typename Done>
void add_streams(Lanes& lanes, std::span<const Mask> masks, AesPath path, const Done& done) {
  constexpr std::size_t kPass = kPassBytes / sizeof(typename Lanes::value_type);
  std::vector<MaskStream> streams;
  streams.reserve(masks.size());
  for (const Mask& mask : masks) streams.push_back(open_stream(mask.key, path));
  for (std::size_t begin = 0; begin < lanes.size(); begin += kPass) {
    const auto pass = std::span(lanes).subspan(begin, std::min(kPass, lanes.size() - begin));
    const std::size_t end = begin + pass.size();
    for (std::size_t i = 0; i < masks.size(); ++i) {
      if (i == 1) {  // while the other masks are applied, the next pass comes in
        prefetch(reinterpret_cast<const std::uint8_t*>(lanes.data() + end),
                 std::min(kPass, lanes.size() - end) * sizeof(lanes[0]));
      }
      std::visit([&](auto& stream) { stream.accumulate(pass, masks[i].sign); }, streams[i]);
    }
    done(pass);
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
  INK_CHECK_OK(check_packed(packed, length_, ring_bits_));
  std::visit([&](auto& lanes) { add_unpacked(packed, ring_bits_, std::span(lanes)); }, lanes_);
  return {};
}

void MaskedSum::apply_masks(std::span<const Mask> masks, AesPath path) {
  std::visit([&](auto& lanes) { add_streams(lanes, masks, path, [](const auto&) {}); }, lanes_);
}

Bytes MaskedSum::pack_masked(std::span<const Mask> masks, AesPath path) {
  Bytes out;
  out.reserve(packed_bytes(length_, ring_bits_));
  const auto append = [&]<typename T>(std::span<T> pass) {
    const Bytes part = pack(std::span<const T>(pass), ring_bits_);
    out.insert(out.end(), part.begin(), part.end());
  };
  std::visit([&](auto& lanes) { add_streams(lanes, masks, path, append); }, lanes_);
  return out;
}

Bytes MaskedSum::packed() const {
  return std::visit([&](const auto& lanes) { return pack(std::span(lanes), ring_bits_); }, lanes_);
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
