// Sums over people by secure aggregation: the same numbers as in the clear, whoever adds them up.

#include "tools/rerank/secure_sum.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

namespace inkling::tools {
namespace {

std::vector<std::size_t> people(std::size_t count) {
  std::vector<std::size_t> all(count);
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

Result<std::vector<double>> term(std::size_t person) {
  const auto p = static_cast<double>(person);
  return std::vector<double>{p, 1, std::sin(p), -2.5};
}

TEST(SecureSum, MaskedAndInTheClearAreTheSameBits) {
  SecureSum clear({.seed = 3, .masked = false, .group = 4}),
      masked({.seed = 3, .masked = true, .group = 4});
  for (int round = 0; round < 2; ++round) {
    const auto a = clear(people(9), 4, term), b = masked(people(9), 4, term);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(*a, *b);
  }
}

TEST(SecureSum, IsTheSumButForRounding) {
  SecureSum secure({});
  const auto exact = *sum_in_the_clear(people(100), 4, term);
  const auto sum = secure(people(100), 4, term);
  ASSERT_TRUE(sum) << sum.error().message;
  for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR((*sum)[i], exact[i], 1e-3);
  EXPECT_EQ(secure.tally().rounds, 1u);
  EXPECT_EQ(secure.tally().uploads, 100u);
  EXPECT_EQ(secure.tally().clipped, 0u);
  EXPECT_EQ(*secure.epsilon(), 0);
}

TEST(SecureSum, NobodyMovesItByMoreThanTheClip) {
  SecureSum secure({.clip_l2 = 2});
  const auto shout = [](std::size_t person) -> Result<std::vector<double>> {
    return std::vector<double>{person == 0 ? 1e6 : 1.0};
  };
  EXPECT_NEAR((*secure(people(3), 1, shout))[0], 4, 1e-4);
  EXPECT_EQ(secure.tally().clipped, 1u);
}

TEST(SecureSum, NoiseIsOfTheSizeThatItsBudgetNeeds) {
  const double multiplier =
      *privacy::calibrate_gaussian(privacy::Method::kRdp, 1.0, 5, {.epsilon = 3, .delta = 1e-5});
  SecureSum secure({.clip_l2 = 2,
                    .scale = 1 << 12,
                    .privacy = {.place = NoisePlace::kDiscreteGaussian,
                                .noise_multiplier = multiplier,
                                .delta = 1e-5,
                                .amplified = false}});
  const auto silent = [](std::size_t) -> Result<std::vector<double>> {
    return std::vector<double>(2000, 0.0);
  };
  double squares = 0;
  for (int round = 0; round < 5; ++round) {
    const auto sum = secure(people(10), 2000, silent);
    ASSERT_TRUE(sum) << sum.error().message;
    for (const double v : *sum) squares += v * v / 10'000;
  }
  EXPECT_NEAR(std::sqrt(squares) / (2 * multiplier), 1, 0.05);
  EXPECT_NEAR(*secure.epsilon(), 3, 0.01);
}

TEST(SecureSum, TakesCoarserStepsForNoiseThatTheSamplerCouldNotDrawInFineOnes) {
  SecureSum secure({.clip_l2 = 100,
                    .privacy = {.place = NoisePlace::kDiscreteGaussian,
                                .noise_multiplier = 100,
                                .delta = 1e-5,
                                .amplified = false}});
  EXPECT_TRUE(secure(people(4), 4, term));
}

TEST(SecureSum, RefusesNobodyAndPassesOnWhatAPersonCannotSay) {
  SecureSum secure({});
  EXPECT_EQ(secure(people(1), 4, term).error().code, ErrorCode::kInvalidArgument);
  const auto mute = [](std::size_t) -> Result<std::vector<double>> {
    return fail(ErrorCode::kNotFound, "mute");
  };
  EXPECT_EQ(secure(people(3), 4, mute).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(secure(people(3), 5, term).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling::tools
