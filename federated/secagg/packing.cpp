#include "federated/secagg/packing.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "federated/secagg/config.h"

namespace inkling::secagg {

namespace {

static_assert(std::endian::native == std::endian::little, "words are stored as they are");

constexpr std::size_t kGroup = 8;  // values; they fill kBits bytes

constexpr std::make_integer_sequence<unsigned, kGroup> kEachOfGroup;

// The words that kBits bytes fill, and one that the last value may seem to reach into.
template <unsigned kBits>
using Words = std::array<std::uint64_t, kBits / 8 + 2>;

// kBits bytes as words and back, in moves of eight bytes: the last one ends where the group ends
// and overlaps the one before it.
template <unsigned kBits>
Words<kBits> load_words(const std::uint8_t* in) {
  constexpr unsigned kWhole = kBits / 8, kRest = 8 * (kBits % 8);
  Words<kBits> words{};
  for (unsigned w = 0; w < kWhole; ++w) std::memcpy(&words[w], in + 8 * w, 8);
  if constexpr (kRest > 0) {
    std::memcpy(&words[kWhole], in + kBits - 8, 8);
    words[kWhole] >>= 64 - kRest;
  }
  return words;
}

template <unsigned kBits>
void store_words(const Words<kBits>& words, std::uint8_t* out) {
  constexpr unsigned kWhole = kBits / 8, kRest = 8 * (kBits % 8);
  for (unsigned w = 0; w < kWhole; ++w) std::memcpy(out + 8 * w, &words[w], 8);
  if constexpr (kRest > 0) {
    const std::uint64_t last = words[kWhole - 1] >> kRest | words[kWhole] << (64 - kRest);
    std::memcpy(out + kBits - 8, &last, 8);
  }
}

// Value kIndex of a group, put into its words or taken from them.
template <unsigned kBits, unsigned kIndex>
void put(Words<kBits>& words, std::uint64_t value) {
  constexpr unsigned kWord = kIndex * kBits / 64, kShift = kIndex * kBits % 64;
  words[kWord] |= value << kShift;
  if constexpr (kShift + kBits > 64) words[kWord + 1] = value >> (64 - kShift);
}

template <unsigned kBits, unsigned kIndex>
std::uint64_t get(const Words<kBits>& words) {
  constexpr unsigned kWord = kIndex * kBits / 64, kShift = kIndex * kBits % 64;
  std::uint64_t value = words[kWord] >> kShift;
  if constexpr (kShift + kBits > 64) value |= words[kWord + 1] << (64 - kShift);
  return value & ((std::uint64_t{1} << kBits) - 1);
}

template <unsigned kBits, typename T, unsigned... kIndex>
void pack_group(const T* lanes, std::uint8_t* out, std::integer_sequence<unsigned, kIndex...>) {
  Words<kBits> words{};
  (put<kBits, kIndex>(words, lanes[kIndex] & ((std::uint64_t{1} << kBits) - 1)), ...);
  store_words<kBits>(words, out);
}

template <unsigned kBits, typename T, unsigned... kIndex>
void add_group(const std::uint8_t* in, T* lanes, std::integer_sequence<unsigned, kIndex...>) {
  const Words<kBits> words = load_words<kBits>(in);
  ((lanes[kIndex] = static_cast<T>(lanes[kIndex] + get<kBits, kIndex>(words))), ...);
}

template <typename T>
struct Loops {
  void (*pack)(const T* lanes, std::size_t groups, std::uint8_t* out);
  void (*add)(const std::uint8_t* in, std::size_t groups, T* lanes);
};

template <typename T, unsigned kBits>
constexpr Loops<T> loops_for() {
  return {.pack =
              [](const T* lanes, std::size_t groups, std::uint8_t* out) {
                for (std::size_t g = 0; g < groups; ++g)
                  pack_group<kBits>(lanes + g * kGroup, out + g * kBits, kEachOfGroup);
              },
          .add =
              [](const std::uint8_t* in, std::size_t groups, T* lanes) {
                for (std::size_t g = 0; g < groups; ++g)
                  add_group<kBits>(in + g * kBits, lanes + g * kGroup, kEachOfGroup);
              }};
}

// The loops of every width that stands in lanes of this type.
template <typename T>
const Loops<T>& loops_of(unsigned bits) {
  constexpr unsigned kFirst = sizeof(T) == 2 ? kRingBitsMin : 4 * sizeof(T) + 1;
  constexpr unsigned kLast = std::min<unsigned>(8 * sizeof(T), kRingBitsMax);
  static constexpr auto kTable =
      []<unsigned... kIndex>(std::integer_sequence<unsigned, kIndex...>) {
    return std::array{loops_for<T, kFirst + kIndex>()...};
  }
  (std::make_integer_sequence<unsigned, kLast - kFirst + 1>());
  INK_INVARIANT(bits >= kFirst && bits <= kLast);
  return kTable[bits - kFirst];
}

template <typename T>
Bytes pack_lanes(std::span<const T> lanes, unsigned bits) {
  const Loops<T>& loops = loops_of<T>(bits);
  Bytes out(packed_bytes(lanes.size(), bits));
  const std::size_t groups = lanes.size() / kGroup, packed = groups * kGroup;
  loops.pack(lanes.data(), groups, out.data());
  if (packed < lanes.size()) {
    std::array<T, kGroup> rest{};
    std::copy(lanes.begin() + static_cast<std::ptrdiff_t>(packed), lanes.end(), rest.begin());
    std::array<std::uint8_t, kRingBitsMax + 1> bytes;
    loops.pack(rest.data(), 1, bytes.data());
    std::copy_n(bytes.begin(), out.size() - groups * bits,
                out.begin() + static_cast<std::ptrdiff_t>(groups * bits));
  }
  return out;
}

template <typename T>
void add_lanes(ByteSpan packed, unsigned bits, std::span<T> lanes) {
  INK_INVARIANT(packed.size() == packed_bytes(lanes.size(), bits));
  const Loops<T>& loops = loops_of<T>(bits);
  const std::size_t groups = lanes.size() / kGroup, done = groups * kGroup;
  loops.add(packed.data(), groups, lanes.data());
  if (done < lanes.size()) {
    std::array<std::uint8_t, kRingBitsMax + 1> bytes{};
    std::array<T, kGroup> rest{};
    const ByteSpan tail = packed.subspan(groups * bits);
    std::copy(tail.begin(), tail.end(), bytes.begin());
    loops.add(bytes.data(), 1, rest.data());
    for (std::size_t i = done; i < lanes.size(); ++i)
      lanes[i] = static_cast<T>(lanes[i] + rest[i - done]);
  }
}

}  // namespace

Result<void> check_packed(ByteSpan packed, std::uint64_t count, unsigned bits) {
  if (packed.size() != packed_bytes(count, bits)) {
    return fail(ErrorCode::kCorrupt, "packed vector: ", packed.size(), " bytes, expected ",
                packed_bytes(count, bits));
  }
  const unsigned used = static_cast<unsigned>(count * bits % 8);
  if (used != 0 && packed.back() >> used != 0) {
    return fail(ErrorCode::kCorrupt, "packed vector: a pad bit is set");
  }
  return {};
}

Bytes pack(std::span<const std::uint16_t> lanes, unsigned bits) { return pack_lanes(lanes, bits); }
Bytes pack(std::span<const std::uint32_t> lanes, unsigned bits) { return pack_lanes(lanes, bits); }
Bytes pack(std::span<const std::uint64_t> lanes, unsigned bits) { return pack_lanes(lanes, bits); }

void add_unpacked(ByteSpan packed, unsigned bits, std::span<std::uint16_t> lanes) {
  add_lanes(packed, bits, lanes);
}
void add_unpacked(ByteSpan packed, unsigned bits, std::span<std::uint32_t> lanes) {
  add_lanes(packed, bits, lanes);
}
void add_unpacked(ByteSpan packed, unsigned bits, std::span<std::uint64_t> lanes) {
  add_lanes(packed, bits, lanes);
}

}  // namespace inkling::secagg
