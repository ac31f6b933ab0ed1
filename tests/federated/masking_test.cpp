#include "federated/secagg/masking.h"

#include <gtest/gtest.h>

#include <optional>

#include "federated/secagg/config.h"
#include "federated/secagg/packing.h"
#include "runtime/base/rng.h"
#include "tests/federated/golden.h"

namespace inkling::secagg {
namespace {

StreamKey chain_key() {
  StreamKey key;
  const Bytes okm = hex_bytes(golden_text("/proposed_chain/okm"));
  std::copy(okm.begin(), okm.end(), key.material.writable().begin());
  return key;
}

void apply(MaskedSum& sum, Sign sign) {
  const Mask mask{.key = chain_key(), .sign = sign};
  sum.apply_masks({&mask, 1});
}

std::vector<std::uint64_t> random_values(std::size_t count, unsigned bits, std::uint64_t seed) {
  Rng rng(seed, "values");
  std::vector<std::uint64_t> out(count);
  for (auto& v : out) v = rng.next_u64() & ((std::uint64_t{1} << bits) - 1);
  return out;
}

TEST(Masking, LanesAreThoseOfTheProposedChain) {
  const std::string v = "/proposed_chain/";
  for (const auto& [bits, name, count] :
       {std::tuple(32u, "u32_le", 8u), std::tuple(16u, "u16_le", 16u),
        std::tuple(20u, "b20_of_u32", 8u)}) {
    MaskedSum sum(bits, count);
    apply(sum, Sign::kAdd);
    EXPECT_EQ(sum.values(), golden_integers(v + name)) << name;
  }
}

TEST(Masking, EveryRingWidthAndLengthPacksToItself) {
  for (unsigned bits = kRingBitsMin; bits <= kRingBitsMax; ++bits) {
    for (const std::size_t count : {1u, 2u, 7u, 8u, 9u, 63u, 64u, 65u, 257u}) {
      const auto values = random_values(count, bits, bits);
      MaskedSum sum(bits, count);
      ASSERT_TRUE(sum.add_values(values));
      const Bytes packed = sum.packed();
      ASSERT_EQ(packed.size(), packed_bytes(count, bits));
      for (std::size_t i = 0; i < count; ++i) {  // LSB first, bit by bit
        std::uint64_t value = 0;
        for (unsigned b = 0; b < bits; ++b) {
          const std::size_t at = i * bits + b;
          value |= static_cast<std::uint64_t>(packed[at / 8] >> (at % 8) & 1) << b;
        }
        ASSERT_EQ(value, values[i]) << bits << " " << i;
      }
      MaskedSum back(bits, count);
      ASSERT_TRUE(back.add_packed(packed));
      ASSERT_EQ(back.values(), values);
    }
  }
}

TEST(Masking, PackedVectorsMustFitExactlyWithZeroPadBits) {
  MaskedSum sum(13, 3);  // 39 bits: one pad bit
  const Bytes packed = sum.packed();
  ASSERT_EQ(packed.size(), 5u);
  Bytes longer = packed, padded = packed;
  longer.push_back(0);
  padded.back() |= 0x80;
  EXPECT_FALSE(sum.add_packed(longer));
  EXPECT_FALSE(sum.add_packed(padded));
  EXPECT_FALSE(sum.add_packed(ByteSpan(packed).first(4)));
  EXPECT_TRUE(sum.add_packed(packed));
}

TEST(Masking, ValuesMustFitTheRing) {
  MaskedSum sum(10, 2);
  EXPECT_FALSE(sum.add_values(std::vector<std::uint64_t>{0, 1024}));
  EXPECT_FALSE(sum.add_values(std::vector<std::uint64_t>{0}));
  EXPECT_EQ(sum.values(), (std::vector<std::uint64_t>{0, 0}));
  EXPECT_TRUE(sum.add_values(std::vector<std::uint64_t>{0, 1023}));
}

// Longer than a keystream chunk, so chunk borders are in the middle.
TEST(Masking, SumsAreTakenInTheRingAndMasksCancel) {
  constexpr std::size_t kCount = 20000;
  for (const unsigned bits : {8u, 16u, 17u, 26u, 32u, 33u, 62u}) {
    const auto a = random_values(kCount, bits, 1), b = random_values(kCount, bits, 2);
    MaskedSum first(bits, kCount), second(bits, kCount), total(bits, kCount);
    ASSERT_TRUE(first.add_values(a));
    ASSERT_TRUE(second.add_values(b));
    apply(first, Sign::kAdd);
    apply(second, Sign::kSubtract);
    EXPECT_NE(first.values(), a);
    ASSERT_TRUE(total.add_packed(first.packed()));
    ASSERT_TRUE(total.add_packed(second.packed()));
    std::vector<std::uint64_t> expected(kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      expected[i] = (a[i] + b[i]) & ((std::uint64_t{1} << bits) - 1);
    }
    EXPECT_EQ(total.values(), expected) << bits;
  }
}

// key[32] || counter[16] from a seed; the counter may stand `before_wrap` blocks before the low
// half of the counter wraps, and before all of it does.
StreamKey random_key(Suite suite, std::uint64_t seed, std::optional<std::uint64_t> before_wrap,
                     bool wraps_whole) {
  Rng rng(seed, "stream-key");
  StreamKey key{.suite = suite, .material = {}};
  for (auto& byte : key.material.writable()) byte = static_cast<std::uint8_t>(rng.next_u32());
  const std::size_t at = suite == Suite::kAes128Ctr ? 16 : 32;
  if (before_wrap) {
    for (std::size_t i = 0; i < 8; ++i) {
      if (wraps_whole) key.material.writable()[at + i] = 0xff;
      key.material.writable()[at + 15 - i] =
          static_cast<std::uint8_t>((0 - *before_wrap) >> (8 * i));
    }
  }
  return key;
}

// The keystream from OpenSSL in one piece, applied lane by lane.
template <typename T>
void apply_plainly(std::vector<std::uint64_t>& values, const Mask& mask, unsigned bits) {
  std::vector<T> words(values.size());
  Keystream(mask.key).fill(
      {reinterpret_cast<std::uint8_t*>(words.data()), words.size() * sizeof(T)});
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = mask.sign == Sign::kAdd ? values[i] + words[i] : values[i] - words[i];
    values[i] &= (std::uint64_t{1} << bits) - 1;
  }
}

TEST(Masking, EveryPathOfThisCpuGivesTheBitsOfOpenSsl) {
  const std::optional<std::uint64_t> kNone;
  for (const AesPath path : aes_paths()) {
    for (const Suite suite : {Suite::kAes128Ctr, Suite::kAes256Ctr, Suite::kChaCha20}) {
      for (const unsigned bits : {8u, 16u, 17u, 32u, 33u, 62u}) {
        for (const std::size_t count : {1u, 3u, 8u, 127u, 1000u, 20011u}) {
          SCOPED_TRACE(
              concat("path ", int(path), " suite ", int(suite), " bits ", bits, " count ", count));
          std::vector<Mask> masks;
          masks.push_back({random_key(suite, count, kNone, false), Sign::kAdd});
          masks.push_back({random_key(suite, count + 1, kNone, false), Sign::kSubtract});
          if (suite != Suite::kChaCha20) {
            masks.push_back({random_key(suite, count + 2, 0, false), Sign::kAdd});
            masks.push_back({random_key(suite, count + 3, 1, false), Sign::kAdd});
            masks.push_back({random_key(suite, count + 4, 37, true), Sign::kSubtract});
            masks.push_back({random_key(suite, count + 5, 1029, false), Sign::kAdd});
          }
          auto expected = random_values(count, bits, 5);
          MaskedSum sum(bits, count);
          ASSERT_TRUE(sum.add_values(expected));
          MaskedSum same = sum;
          sum.apply_masks(masks, path);
          ASSERT_EQ(same.pack_masked(masks, path), sum.packed());
          for (const Mask& mask : masks) {
            if (lane_bits(bits) == 16) apply_plainly<std::uint16_t>(expected, mask, bits);
            if (lane_bits(bits) == 32) apply_plainly<std::uint32_t>(expected, mask, bits);
            if (lane_bits(bits) == 64) apply_plainly<std::uint64_t>(expected, mask, bits);
          }
          ASSERT_EQ(sum.values(), expected);
        }
      }
    }
  }
}

TEST(Masking, AMaskedVectorLooksUniform) {
  constexpr std::size_t kCount = 1 << 16;
  MaskedSum sum(8, kCount);  // all zero, i.e. as far from uniform as inputs get
  apply(sum, Sign::kAdd);
  std::vector<double> counts(256);
  for (const std::uint64_t v : sum.values()) ++counts[v];
  double chi_square = 0;
  for (const double c : counts) chi_square += (c - 256) * (c - 256) / 256;
  EXPECT_LT(chi_square, 347.7);  // 99.99 % quantile at 255 degrees of freedom
}

}  // namespace
}  // namespace inkling::secagg
