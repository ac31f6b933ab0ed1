// The samplers against the probabilities that they promise.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "federated/privacy/discrete_gaussian.h"
#include "federated/privacy/gaussian_noise.h"
#include "federated/privacy/skellam.h"
#include "tests/federated/test_entropy.h"

namespace inkling::privacy {
namespace {

RandomBits bits_of(std::uint64_t seed) {
  secagg::TestEntropy entropy(seed);
  return RandomBits::create(entropy).value();
}

// Pearson's statistic over the values that are expected at least 20 times, the rest as one, as a
// deviation from its mean in standard deviations.
double chi_square_excess(const std::map<std::int64_t, int>& counts,
                         const std::function<double(std::int64_t)>& probability, int draws,
                         std::int64_t reach) {
  double statistic = 0, cells = 0, rest_expected = draws, rest_seen = draws;
  for (std::int64_t x = -reach; x <= reach; ++x) {
    const double expected = draws * probability(x);
    if (expected < 20) continue;
    const auto found = counts.find(x);
    const double seen = found == counts.end() ? 0 : found->second;
    statistic += (seen - expected) * (seen - expected) / expected;
    rest_expected -= expected;
    rest_seen -= seen;
    ++cells;
  }
  if (rest_expected >= 20) {
    statistic += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
    ++cells;
  }
  return (statistic - (cells - 1)) / std::sqrt(2 * (cells - 1));
}

TEST(Noise, CoinsComeUpWithTheProbabilityOfTheExponential) {
  RandomBits bits = bits_of(1);
  constexpr int kDraws = 200'000;
  for (const auto& [a, b] : {std::pair(0, 7), {1, 7}, {1, 1}, {5, 2}, {17, 3}}) {
    int heads = 0;
    for (int i = 0; i < kDraws; ++i) heads += bits.bernoulli_exp(uint128(a), uint128(b)) ? 1 : 0;
    const double p = std::exp(-double(a) / b);
    EXPECT_NEAR(heads / double(kDraws), p, 5 * std::sqrt(p * (1 - p) / kDraws) + 1e-12) << a;
  }
}

TEST(Noise, UniformIntegersStayBelowTheirBoundAndReachIt) {
  RandomBits bits = bits_of(2);
  for (const uint128 bound :
       {uint128{1}, uint128{3}, uint128{1} << 64, (uint128{1} << 64) + 5, uint128{1} << 100}) {
    uint128 largest = 0;
    for (int i = 0; i < 1000; ++i) {
      const uint128 draw = bits.below(bound);
      ASSERT_TRUE(draw < bound);
      largest = std::max(largest, draw);
    }
    EXPECT_TRUE(largest >= bound - 1 - bound / 50);
  }
}

TEST(Noise, DiscreteGaussianHasItsProbabilities) {
  constexpr int kDraws = 200'000;
  for (const double sigma : {0.5, 1.0, 3.0, 12.34}) {
    const auto sampler = DiscreteGaussian::create(sigma).value();
    EXPECT_NEAR(sampler.sigma(), sigma, 1e-4);
    EXPECT_GE(sampler.sigma(), sigma) << "less noise than asked for";
    RandomBits bits = bits_of(std::uint64_t(sigma * 10));
    std::map<std::int64_t, int> counts;
    for (int i = 0; i < kDraws; ++i) ++counts[sampler.sample(bits)];
    const double variance = sampler.sigma() * sampler.sigma();
    const auto weight = [&](std::int64_t x) { return std::exp(-double(x * x) / (2 * variance)); };
    double total = 0;
    for (std::int64_t x = -200; x <= 200; ++x) total += weight(x);
    const double excess = chi_square_excess(
        counts, [&](std::int64_t x) { return weight(x) / total; }, kDraws, 200);
    EXPECT_LT(std::fabs(excess), 4.5) << sigma;
  }
}

TEST(Noise, DiscreteGaussianIsRightAtItsLargestSigma) {
  const auto sampler = DiscreteGaussian::create(DiscreteGaussian::kSigmaMax).value();
  RandomBits bits = bits_of(9);
  constexpr int kDraws = 20'000;
  double square = 0, sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = double(sampler.sample(bits)) / DiscreteGaussian::kSigmaMax;
    sum += x;
    square += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(square / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
}

TEST(Noise, SkellamHasItsProbabilities) {
  constexpr int kDraws = 200'000;
  for (const double variance : {0.5, 4.0, 50.0, 400.0}) {
    const auto sampler = SkellamNoise::create(variance).value();
    RandomBits bits = bits_of(std::uint64_t(variance));
    std::map<std::int64_t, int> counts;
    for (int i = 0; i < kDraws; ++i) ++counts[sampler.sample(bits)];
    const auto probability = [&](std::int64_t x) {  // e^-v I_|x|(v)
      return std::exp(-variance) * std::cyl_bessel_i(std::fabs(double(x)), variance);
    };
    EXPECT_LT(std::fabs(chi_square_excess(counts, probability, kDraws, 150)), 4.5) << variance;
  }
}

TEST(Noise, GaussianNoiseHasItsMoments) {
  std::vector<float> values(100'001, 3.0f);
  RandomBits bits = bits_of(4);
  add_gaussian_noise(values, 2.0, bits);
  const double n = double(values.size());
  double sum = 0, square = 0, fourth = 0;
  for (const float v : values) {
    const double x = (v - 3.0) / 2;
    sum += x;
    square += x * x;
    fourth += x * x * x * x;
  }
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(square / n, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96 / n));
}

TEST(Noise, RefusesScalesOutOfRange) {
  for (const double bad : {0.0, -1.0, std::nan(""), 0x1p21}) {
    EXPECT_FALSE(DiscreteGaussian::create(bad)) << bad;
  }
  for (const double bad : {0.0, -1.0, std::nan(""), 0x1p41}) {
    EXPECT_FALSE(SkellamNoise::create(bad)) << bad;
  }
  secagg::TestEntropy entropy(1);
  entropy.fail_from_now_on();
  EXPECT_FALSE(RandomBits::create(entropy));
}

}  // namespace
}  // namespace inkling::privacy
