#include "federated/update.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "federated/privacy/discrete_gaussian.h"
#include "federated/rotation.h"
#include "federated/round_privacy.h"
#include "tests/federated/test_entropy.h"

namespace inkling::federated {
namespace {

using secagg::Config;
using secagg::Hash;
using secagg::TestEntropy;
using secagg::WeightMode;

Config update_config(bool rotate) {
  Config config{.n_min = 2, .n_max = 16};
  config.dimension = 100;
  config.metrics = 2;
  config.clip_l2 = 4.0;
  config.scale = 4096.0;
  config.metric_clip = 10.0;
  config.rotate = rotate;
  config.rotation_block = 64;
  config.weight_mode = WeightMode::kByExamples;
  config.weight_max = 50;
  return config;
}

std::vector<float> random_delta(std::size_t size, std::uint64_t seed, double norm) {
  Rng rng(seed, "delta");
  std::vector<float> out(size);
  double square = 0;
  for (float& v : out) {
    v = static_cast<float>(rng.normal());
    square += double(v) * v;
  }
  for (float& v : out) v = static_cast<float>(v * norm / std::sqrt(square));
  return out;
}

class UpdateRoundTrip : public testing::TestWithParam<bool> {};

TEST_P(UpdateRoundTrip, GivesTheWeightedMean) {
  const Config config = update_config(GetParam());
  const Hash ctx = secagg::hash_of({as_bytes("ctx")});
  constexpr std::uint32_t kClients = 16;
  std::vector<std::uint64_t> sum(config.input_length());
  std::vector<double> expected(config.dimension), metric_sums(2);
  double weights = 0;
  for (std::uint32_t i = 0; i < kClients; ++i) {
    TestEntropy entropy(i);
    const auto delta = random_delta(config.dimension, i, 3.9);
    const std::uint32_t weight = i * 3;
    const std::vector<double> metrics = {double(i) / 2, -double(i) / 3};
    const auto ring =
        encode_update(config, ctx, {.delta = delta, .weight = weight, .metrics = metrics}, entropy);
    ASSERT_TRUE(ring);
    for (std::size_t j = 0; j < sum.size(); ++j)
      sum[j] = (sum[j] + (*ring)[j]) & config.ring_mask();
    for (std::size_t j = 0; j < delta.size(); ++j) expected[j] += double(delta[j]) * weight;
    weights += weight;
    for (std::size_t m = 0; m < 2; ++m) metric_sums[m] += metrics[m];
  }
  const auto mean = decode_sum(config, ctx, sum, kClients);
  ASSERT_TRUE(mean);
  EXPECT_EQ(mean->weight_sum, std::uint64_t(weights));
  // Each client's rounding moves a coordinate by less than a step of W_max / (scale * sum of
  // weights); 16 independent ones stay within eight steps, rotated ones (norm kept) do, too.
  const double tolerance = 8 * 50 / (4096.0 * weights);
  for (std::size_t j = 0; j < expected.size(); ++j) {
    EXPECT_NEAR(mean->delta[j], expected[j] / weights, tolerance) << j;
  }
  for (std::size_t m = 0; m < 2; ++m) {
    EXPECT_NEAR(mean->metric_sums[m], metric_sums[m], 16 * 10.0 / 16384) << m;
  }
}

INSTANTIATE_TEST_SUITE_P(Update, UpdateRoundTrip, testing::Bool());

TEST(Update, ClipsToTheNormAndKeepsTheDirection) {
  Config config = update_config(false);
  config.weight_mode = WeightMode::kUniform;
  config.weight_max = 1;
  config.metrics = 0;
  const auto delta = random_delta(config.dimension, 1, 40.0);  // ten times the clip
  TestEntropy entropy(1);
  const auto ring =
      encode_update(config, {}, {.delta = delta, .weight = 1, .metrics = {}}, entropy);
  const auto mean = decode_sum(config, {}, *ring, 1);
  ASSERT_TRUE(mean);
  for (std::size_t j = 0; j < delta.size(); ++j) {
    EXPECT_NEAR(mean->delta[j], delta[j] / 10, 1.0 / 4096) << j;
  }
}

// The mean of many roundings of one value approaches the value: floor alone would be half a step
// off. 4,000 draws of a Bernoulli variable have a standard error below 0.008 steps.
TEST(Update, RoundingIsUnbiased) {
  Config config = update_config(false);
  config.dimension = 4000;
  config.clip_l2 = 1000;
  config.scale = 1.0;
  config.metrics = 0;
  config.weight_max = 1;
  for (const float value : {0.25f, -0.25f, 1.9f, -1.9f}) {
    const std::vector<float> delta(config.dimension, value);
    TestEntropy entropy(2);
    const auto ring =
        encode_update(config, {}, {.delta = delta, .weight = 1, .metrics = {}}, entropy);
    const auto mean = decode_sum(config, {}, *ring, 1);
    double total = 0;
    for (const float v : mean->delta) {
      EXPECT_TRUE(v == std::floor(value) || v == std::floor(value) + 1);
      total += v;
    }
    EXPECT_NEAR(total / 4000, value, 0.04);
  }
}

Config noisy_config(secagg::Noise noise) {
  Config config = update_config(true);
  config.weight_mode = WeightMode::kUniform;
  config.weight_max = 1;
  config.metrics = 0;
  config.noise = noise;
  config.noise_sigma = 25;
  return config;
}

// Sixteen clients with sigma 25: the sum has deviation 100 steps in each of 128 coordinates, which
// are 0.0015 of the mean. Rotation keeps the noise white.
TEST(Update, NoiseInTheMeanIsThatOfTheWholeCohort) {
  for (const auto noise : {secagg::Noise::kDiscreteGaussian, secagg::Noise::kSkellam}) {
    const Config config = noisy_config(noise);
    constexpr std::uint32_t kClients = 16;
    constexpr int kRounds = 40;
    double square = 0, total = 0;
    for (int round = 0; round < kRounds; ++round) {
      std::vector<std::uint64_t> sum(config.input_length());
      std::vector<double> expected(config.dimension);
      for (std::uint32_t i = 0; i < kClients; ++i) {
        TestEntropy entropy(i, std::uint64_t(round));
        const auto delta = random_delta(config.dimension, i, 3.9);
        const auto ring =
            encode_update(config, {}, {.delta = delta, .weight = 1, .metrics = {}}, entropy);
        ASSERT_TRUE(ring);
        for (std::size_t j = 0; j < sum.size(); ++j)
          sum[j] = (sum[j] + (*ring)[j]) & config.ring_mask();
        for (std::size_t j = 0; j < delta.size(); ++j) expected[j] += double(delta[j]) / kClients;
      }
      const auto mean = decode_sum(config, {}, sum, kClients);
      ASSERT_TRUE(mean);
      for (std::size_t j = 0; j < expected.size(); ++j) {
        const double off = (mean->delta[j] - expected[j]) * config.scale * kClients;
        total += off;
        square += off * off;
      }
    }
    const double n = kRounds * double(config.dimension);
    const double variance = kClients * (25.0 * 25.0);  // rounding adds a quarter of a step^2 each
    EXPECT_NEAR(total / n, 0, 5 * std::sqrt(variance / n));
    EXPECT_NEAR(square / n, variance, 5 * variance * std::sqrt(2 / n) + kClients / 4.0);
  }
}

// Without its noise the integer vector stays within the norm that is accounted for, even where
// rounding up everywhere would take it beyond.
TEST(Update, RoundedNormIsWhatTheAccountantAssumes) {
  Config config = noisy_config(secagg::Noise::kDiscreteGaussian);
  config.dimension = 128;
  config.rotate = false;
  config.scale = 2;
  config.ring_bits = 32;
  const double norm_max = rounded_norm_max(config);
  EXPECT_LT(norm_max, config.scale * config.clip_l2 + std::sqrt(128.0));
  const auto mechanism = mechanism_of(config);
  ASSERT_TRUE(mechanism);
  const auto& counted = std::get<privacy::DistributedDiscreteGaussian>(*mechanism);
  EXPECT_EQ(counted.l2, norm_max);
  EXPECT_EQ(counted.clients, 2u);
  config.gamma_ppm = 500'000;
  EXPECT_EQ(std::get<privacy::DistributedDiscreteGaussian>(*mechanism_of(config)).clients, 1u);
  config.noise = secagg::Noise::kNone;
  EXPECT_FALSE(mechanism_of(config));
  config.noise = secagg::Noise::kDiscreteGaussian;
  config.noise_sigma = 3;
  // The same draws with and without noise, told apart by two sources of which one is the same.
  int within = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto delta = random_delta(config.dimension, seed, 4.0);
    TestEntropy rounding(seed), noise(seed, 1), same_noise(seed, 1);
    const auto ring =
        encode_update(config, {}, {.delta = delta, .weight = 1, .metrics = {}}, {rounding, noise});
    ASSERT_TRUE(ring);
    auto bits = privacy::RandomBits::create(same_noise).value();
    const auto sampler = privacy::DiscreteGaussian::create(3).value();
    double square = 0;
    for (std::size_t j = 0; j < 128; ++j) {
      const auto noisy = static_cast<std::int64_t>((*ring)[j] << 32) >> 32;
      const double step = static_cast<double>(noisy - sampler.sample(bits));
      square += step * step;
    }
    within += square <= norm_max * norm_max ? 1 : 0;
  }
  EXPECT_EQ(within, 200);
}

TEST(Update, CoordinatesNeverExceedTheirShareOfTheRing) {
  Config config = update_config(true);
  config.n_max = 16;
  std::vector<float> delta(config.dimension, 0.0f);
  delta[7] = 1e30f;  // one huge coordinate, clipped and spread
  const std::vector<double> metrics = {1e300, -1e300};
  TestEntropy entropy(3);
  const auto ring =
      encode_update(config, {}, {.delta = delta, .weight = 50, .metrics = metrics}, entropy);
  ASSERT_TRUE(ring);
  const std::uint64_t bound = config.quantised_max();
  for (const std::uint64_t v : *ring) {
    EXPECT_TRUE(v <= bound || v >= config.ring_mask() + 1 - bound) << v;
  }
}

TEST(Update, RefusesWhatItCannotSend) {
  const Config config = update_config(false);
  TestEntropy entropy(4);
  std::vector<float> delta(config.dimension, 0.5f);
  std::vector<double> metrics(2);
  const auto encode = [&](std::span<const float> d, std::uint32_t w, std::span<const double> m) {
    return encode_update(config, {}, {.delta = d, .weight = w, .metrics = m}, entropy);
  };
  EXPECT_TRUE(encode(delta, 50, metrics));
  EXPECT_FALSE(encode(delta, 51, metrics));
  EXPECT_FALSE(encode(std::span(delta).first(99), 1, metrics));
  EXPECT_FALSE(encode(delta, 1, std::span(metrics).first(1)));
  delta[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(encode(delta, 1, metrics));
  delta[3] = 0;
  metrics[0] = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(encode(delta, 1, metrics));
}

TEST(Update, RefusesSumsThatNoCohortCouldSend) {
  const Config config = update_config(false);
  std::vector<std::uint64_t> sum(config.input_length());
  EXPECT_FALSE(decode_sum(config, {}, sum, 3));  // weights of zero
  sum[config.dimension] = 150;
  EXPECT_TRUE(decode_sum(config, {}, sum, 3));
  sum[config.dimension] = 151;
  EXPECT_FALSE(decode_sum(config, {}, sum, 3));
  sum.pop_back();
  EXPECT_FALSE(decode_sum(config, {}, sum, 3));
}

TEST(Rotation, IsUndoneAndKeepsTheNorm) {
  const Hash ctx = secagg::hash_of({as_bytes("ctx")});
  for (const std::uint32_t block : {16u, 1024u}) {
    const auto original = random_delta(4096, block, 10);
    auto values = original;
    rotate(values, block, ctx);
    double square = 0;
    for (const float v : values) square += double(v) * v;
    EXPECT_NEAR(std::sqrt(square), 10, 1e-4);  // f32 sums of 4,096 terms
    EXPECT_NE(values, original);
    unrotate(values, block, ctx);
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], original[i], 1e-5);
  }
}

TEST(Rotation, SpreadsASpike) {
  std::vector<float> values(256);
  values[17] = 16;
  rotate(values, 256, Hash{});
  for (const float v : values) EXPECT_NEAR(std::fabs(v), 1.0, 1e-6);
}

}  // namespace
}  // namespace inkling::federated
