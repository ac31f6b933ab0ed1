#include "federated/secagg/masking.h"

#include <gtest/gtest.h>

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
    sum.apply_mask(chain_key(), Sign::kAdd);
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
    first.apply_mask(chain_key(), Sign::kAdd);
    second.apply_mask(chain_key(), Sign::kSubtract);
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

TEST(Masking, AMaskedVectorLooksUniform) {
  constexpr std::size_t kCount = 1 << 16;
  MaskedSum sum(8, kCount);  // all zero, i.e. as far from uniform as inputs get
  sum.apply_mask(chain_key(), Sign::kAdd);
  std::vector<double> counts(256);
  for (const std::uint64_t v : sum.values()) ++counts[v];
  double chi_square = 0;
  for (const double c : counts) chi_square += (c - 256) * (c - 256) / 256;
  EXPECT_LT(chi_square, 347.7);  // 99.99 % quantile at 255 degrees of freedom
}

}  // namespace
}  // namespace inkling::secagg
