#include "federated/secagg/shamir.h"

#include <gtest/gtest.h>

#include "tests/federated/golden.h"
#include "tests/federated/test_entropy.h"

namespace inkling::secagg {
namespace {

__extension__ using uint128 = unsigned __int128;

using Views = std::vector<std::span<const std::uint8_t, kShareBytes>>;

Secret<32> random_secret(TestEntropy& entropy) {
  Secret<32> secret;
  EXPECT_TRUE(entropy.fill(secret.writable()));
  return secret;
}

Result<Secret<32>> join(const std::vector<Secret<kShareBytes>>& shares,
                        const std::vector<std::uint32_t>& xs) {
  Views views;
  for (const std::uint32_t x : xs) views.push_back(shares[x - 1].reveal());
  INK_TRY(const auto weights, lagrange_weights(xs));
  return join_limbs(interpolate(weights, views));
}

TEST(Shamir, EvaluatesTheGoldenPolynomial) {
  const std::string v = "/shamir_p61/";
  EXPECT_EQ(golden_integer(v + "p"), kFieldPrime);
  const auto coefficients = golden_integers(v + "coeffs");
  for (const std::string& x : golden_keys(v + "shares")) {
    EXPECT_EQ(field_evaluate(coefficients, std::stoull(x)), golden_integer(v + "shares/" + x)) << x;
  }
}

TEST(Shamir, FieldArithmeticIsThatOfThePrime) {
  Rng rng(1, "field");
  std::vector<std::uint64_t> values = {0, 1, 2, kFieldPrime - 1, kFieldPrime - 2, 1ull << 60};
  for (int i = 0; i < 200; ++i) values.push_back(rng.below(kFieldPrime));
  for (const std::uint64_t a : values) {
    for (const std::uint64_t b : values) {
      ASSERT_EQ(field_add(a, b), (uint128{a} + b) % kFieldPrime);
      ASSERT_EQ(field_sub(a, b), (uint128{a} + kFieldPrime - b) % kFieldPrime);
      ASSERT_EQ(field_mul(a, b), uint128{a} * b % kFieldPrime);
    }
    ASSERT_EQ(field_mul(a, field_inverse(a)), a == 0 ? 0u : 1u);
  }
}

TEST(Shamir, AnyThresholdOfSharesJoins) {
  TestEntropy entropy(2);
  Rng rng(2, "subsets");
  for (std::uint32_t n = 1; n <= 20; ++n) {
    for (std::uint32_t t = 1; t <= n; ++t) {
      const Secret<32> secret = random_secret(entropy);
      const auto shares = split_secret(secret, n, t, entropy).value();
      std::vector<std::uint32_t> xs(n);
      for (std::uint32_t i = 0; i < n; ++i) xs[i] = i + 1;
      rng.shuffle(xs);
      xs.resize(t);
      const auto joined = join(shares, xs);
      ASSERT_TRUE(joined);
      ASSERT_TRUE(joined->equals(secret)) << n << " " << t;
    }
  }
}

TEST(Shamir, ExtremeSecretsSurvive) {
  TestEntropy entropy(3);
  for (const std::uint8_t fill : {std::uint8_t{0}, std::uint8_t{255}}) {
    std::array<std::uint8_t, 32> bytes;
    bytes.fill(fill);
    const auto shares = split_secret(Secret<32>::copy_of(bytes), 5, 3, entropy).value();
    EXPECT_EQ(to_hex(join(shares, {5, 1, 3})->reveal()), to_hex(bytes));
  }
}

TEST(Shamir, FewerSharesThanTheThresholdFitEverySecret) {
  TestEntropy entropy(4);
  const auto shares = split_secret(random_secret(entropy), 5, 3, entropy).value();
  // Two shares and any third value are again a polynomial: they single nothing out.
  const auto two = join(shares, {1, 2});
  const auto other = join(shares, {4, 5});
  EXPECT_TRUE(!two || !other || !two->equals(*other));
}

TEST(Shamir, AWrongShareChangesTheSecret) {
  TestEntropy entropy(5);
  const Secret<32> secret = random_secret(entropy);
  auto shares = split_secret(secret, 4, 3, entropy).value();
  shares[1].writable()[3] ^= 1;
  const auto joined = join(shares, {1, 2, 3});
  EXPECT_TRUE(!joined || !joined->equals(secret));
}

TEST(Shamir, InterpolatesOtherShares) {
  TestEntropy entropy(6);
  const auto shares = split_secret(random_secret(entropy), 6, 3, entropy).value();
  const Views views = {shares[0].reveal(), shares[2].reveal(), shares[4].reveal()};
  const auto weights = lagrange_weights(std::vector<std::uint32_t>{1, 3, 5}, 6).value();
  EXPECT_TRUE(interpolate(weights, views).equals(shares[5]));
}

TEST(Shamir, RefusesBadParametersAndShares) {
  TestEntropy entropy(7);
  const Secret<32> secret;
  EXPECT_FALSE(split_secret(secret, 3, 0, entropy));
  EXPECT_FALSE(split_secret(secret, 3, 4, entropy));
  EXPECT_FALSE(split_secret(secret, kHoldersMax + 1, 2, entropy));
  EXPECT_FALSE(lagrange_weights(std::vector<std::uint32_t>{1, 2, 1}));
  EXPECT_FALSE(lagrange_weights(std::vector<std::uint32_t>{0, 2}));
  EXPECT_FALSE(lagrange_weights(std::vector<std::uint32_t>{kHoldersMax + 1}));
  for (std::size_t limb = 0; limb < kShareLimbs; ++limb) {
    for (const std::uint64_t bad : {kFieldPrime, kFieldPrime + 1, ~std::uint64_t{0}}) {
      ShareBytes share{};
      for (std::size_t i = 0; i < 8; ++i) {
        share[8 * limb + i] = static_cast<std::uint8_t>(bad >> (8 * i));
      }
      EXPECT_FALSE(check_share(share)) << limb << " " << bad;
      share[8 * limb + 7] = 0x1f;
      share[8 * limb] = 0xfe;
      EXPECT_TRUE(check_share(share)) << limb << " " << bad;  // p - 1, or less
    }
  }
  entropy.fail_from_now_on();
  EXPECT_FALSE(split_secret(secret, 3, 2, entropy));
}

}  // namespace
}  // namespace inkling::secagg
