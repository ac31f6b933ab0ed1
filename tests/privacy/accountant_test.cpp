// The accountant against values made by a reference implementation, and its properties.

#include "federated/privacy/accountant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "federated/privacy/gaussian.h"
#include "federated/privacy/rdp.h"
#include "tests/federated/golden.h"

namespace inkling::privacy {
namespace {

TEST(Accountant, IsWithinTheGoldenBracketsOfTheSubsampledGaussian) {
  for (const std::string& i : golden_keys("/dp_subsampled_gaussian")) {
    const auto value = [&](const char* name) {
      return golden_number("/dp_subsampled_gaussian/" + i + "/" + name);
    };
    SCOPED_TRACE(i);
    const Gaussian mechanism{.noise_multiplier = value("sigma"), .sampling = value("q")};
    const Use use{.mechanism = mechanism, .count = static_cast<std::uint64_t>(value("T"))};
    const RdpEpsilon rdp = epsilon_of_rdp(rdp_of(mechanism, double(use.count)), value("delta"));
    // The reference bounds fractional orders from above, by up to 3e-5; ours is the series itself,
    // which the next test checks.
    EXPECT_LE(rdp.epsilon, value("rdp_eps") * (1 + 1e-12));
    EXPECT_GE(rdp.epsilon, value("rdp_eps") * (1 - 5e-5));
    EXPECT_NEAR(rdp.order, value("rdp_alpha"), 1e-12);
    const auto pld = epsilon_by(Method::kPld, {&use, 1}, value("delta"));
    ASSERT_TRUE(pld) << pld.error().message;
    EXPECT_GE(*pld, value("pld_eps_lower"));
    // The reference bounds from above on the same grid; its FFT rounds differently.
    EXPECT_LE(*pld, value("pld_eps_upper") * (1 + 1e-6));
  }
}

// E[(p/q)^alpha] under q = N(0, s^2) by the trapezoidal rule, which converges geometrically for
// such integrands.
double moment_by_quadrature(double q, double s, double alpha) {
  constexpr int kPoints = 200'000;
  const double low = -12 * s, high = 12 * s + alpha + 5, step = (high - low) / kPoints;
  double sum = 0;
  for (int i = 0; i <= kPoints; ++i) {
    const double x = low + i * step;
    const double log_ratio = std::log1p(q * std::expm1((2 * x - 1) / (2 * s * s)));
    const double log_density = -x * x / (2 * s * s), power = alpha * log_ratio;
    sum += power > 1 ? std::exp(log_density + power) - std::exp(log_density)
                     : std::exp(log_density) * std::expm1(power);
  }
  return std::log1p(sum * step / (s * std::sqrt(2 * std::numbers::pi)));
}

TEST(Accountant, MomentsAreThoseOfTheSubsampledGaussian) {
  const auto orders = rdp_orders();
  for (const auto& [q, sigma] : {std::pair(0.01, 1.0), {0.01, 0.8}, {0.001, 0.6}, {0.3, 2.0}}) {
    const auto rdp = rdp_of(Gaussian{.noise_multiplier = sigma, .sampling = q});
    for (const std::size_t i : {0u, 9u, 35u, 38u, 60u, 98u, 99u, 120u}) {
      const double expected = moment_by_quadrature(q, sigma, orders[i]) / (orders[i] - 1);
      EXPECT_NEAR(rdp[i], expected, 1e-9 + 1e-7 * expected)
          << "q " << q << " sigma " << sigma << " order " << orders[i];
    }
  }
}

TEST(Accountant, KnowsTheMechanismsOfIntegerVectors) {
  for (const std::string& i : golden_keys("/skellam_rdp")) {
    const auto value = [&](const char* name) {
      return golden_number("/skellam_rdp/" + i + "/" + name);
    };
    const auto rdp = rdp_of(
        Skellam{.variance = value("central_var"), .l2 = value("delta2"), .l1 = value("delta1")});
    const auto orders = rdp_orders();
    for (std::size_t k = 0; k < orders.size(); ++k) {
      if (orders[k] == value("alpha")) {
        EXPECT_NEAR(rdp[k], value("rdp"), 1e-12 * value("rdp"));
      }
    }
  }
  for (const std::string& i : golden_keys("/ddgauss_tau")) {
    const std::string row = "/ddgauss_tau/" + i + "/";
    const double tau = golden_number(row + "tau");
    EXPECT_NEAR(discrete_gaussian_gap(static_cast<std::uint32_t>(golden_number(row + "n")),
                                      golden_number(row + "local_sigma")),
                tau, 1e-9 * tau);
  }
}

double tree_epsilon(std::uint64_t steps, double sigma, double delta) {
  const Use use{.mechanism = Tree{.noise_multiplier = sigma, .steps = steps}};
  return epsilon_by(Method::kRdp, {&use, 1}, delta).value();
}

TEST(Accountant, KnowsTreesAndOneShotGaussians) {
  EXPECT_NEAR(tree_epsilon(1000, 10, 1e-6), 1.471656, 5e-7);
  EXPECT_NEAR(tree_epsilon(2048, 7, 1e-7), 2.621757, 5e-7);
  EXPECT_NEAR(gaussian_sigma(1, 1e-5).value(), 3.730632, 5e-7);
  EXPECT_NEAR(gaussian_sigma(8, 1e-6).value(), 0.652935, 5e-7);
  EXPECT_NEAR(gaussian_sigma(0.1, 1e-9).value(), 50.209818, 5e-7);
}

TEST(Accountant, CalibratesToTheNoiseOfTheReference) {
  const Budget budget{.epsilon = 2, .delta = 1e-6};
  EXPECT_NEAR(calibrate_gaussian(Method::kRdp, 0.01, 1000, budget).value(), 1.093873, 5e-7);
  // The reference stops its search within 1e-4, on the safe side.
  const double pld = calibrate_gaussian(Method::kPld, 0.01, 1000, budget).value();
  EXPECT_LE(pld, 1.029123);
  EXPECT_GE(pld, 1.029123 - 2e-4);
}

TEST(Accountant, ExactGaussianAndPldAgree) {
  for (const double sigma : {0.5, 1.0, 5.0}) {
    for (const double delta : {1e-3, 1e-6, 1e-9}) {
      const Use use{.mechanism = Gaussian{.noise_multiplier = sigma}};
      const double epsilon = epsilon_by(Method::kPld, {&use, 1}, delta).value();
      EXPECT_LE(gaussian_delta(sigma, epsilon), delta) << "not an upper bound";
      EXPECT_GE(gaussian_delta(sigma, epsilon - 2e-4), delta) << "further than the grid";
    }
  }
}

TEST(Accountant, AddsUpUsesInAnyOrderAndPortion) {
  Accountant whole, pieces;
  ASSERT_TRUE(whole.add({Gaussian{.noise_multiplier = 1.1, .sampling = 0.02}, 30}));
  ASSERT_TRUE(whole.add({Gaussian{.noise_multiplier = 2, .sampling = 1}, 4}));
  ASSERT_TRUE(pieces.add({Gaussian{.noise_multiplier = 2, .sampling = 1}, 4}));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pieces.add({Gaussian{.noise_multiplier = 1.1, .sampling = 0.02}, 10}));
  }
  const Spent a = whole.spent(1e-6).value(), b = pieces.spent(1e-6).value();
  EXPECT_EQ(a.method, Method::kPld);
  EXPECT_NEAR(a.epsilon, b.epsilon, 1e-9);
  ASSERT_TRUE(whole.add({Tree{.noise_multiplier = 5, .steps = 10}, 1}));
  const Spent mixed = whole.spent(1e-6).value();
  EXPECT_EQ(mixed.method, Method::kRdp) << "pld of a tree";
  EXPECT_GT(mixed.epsilon, a.epsilon);
}

TEST(Accountant, RefusesTheRoundThatWouldBreakTheBudget) {
  const Budget budget{.epsilon = 3, .delta = 1e-6};
  const Use round{.mechanism = DistributedDiscreteGaussian{
                      .sigma = 80, .clients = 80, .l2 = 100, .l1 = 3000, .dimension = 1000}};
  Accountant accountant;
  int rounds = 0;
  while (!accountant.would_exceed(round, budget).value()) {
    ASSERT_TRUE(accountant.add(round));
    ++rounds;
    ASSERT_LT(rounds, 1000);
  }
  EXPECT_GT(rounds, 10);
  EXPECT_LE(accountant.spent(budget.delta)->epsilon, budget.epsilon);
  ASSERT_TRUE(accountant.add(round));
  EXPECT_GT(accountant.spent(budget.delta)->epsilon, budget.epsilon);
}

TEST(Accountant, SamplingNeverCostsMoreAndMoreNoiseCostsLess) {
  const auto epsilon = [](const Mechanism& mechanism) {
    const Use use{.mechanism = mechanism, .count = 10};
    return epsilon_by(Method::kRdp, {&use, 1}, 1e-6).value();
  };
  for (const double q : {0.01, 0.1, 0.5}) {
    EXPECT_LT(epsilon(Skellam{.variance = 1e6, .l2 = 100, .l1 = 1e4, .sampling = q}),
              epsilon(Skellam{.variance = 1e6, .l2 = 100, .l1 = 1e4}));
    EXPECT_LT(epsilon(Gaussian{.noise_multiplier = 2, .sampling = q}),
              epsilon(Gaussian{.noise_multiplier = 1, .sampling = q}));
    // A discrete Gaussian with a negligible gap costs at least the exact bound of the Gaussian.
    const DistributedDiscreteGaussian ours{
        .sigma = 20, .clients = 100, .l2 = 100, .l1 = 1e3, .dimension = 100, .sampling = q};
    EXPECT_GE(epsilon(ours), epsilon(Gaussian{.noise_multiplier = 2, .sampling = q}));
  }
}

TEST(Accountant, RefusesNonsense) {
  Accountant accountant;
  const double nan = std::nan("");
  for (const Mechanism& bad : std::vector<Mechanism>{
           Gaussian{.noise_multiplier = 0}, Gaussian{.noise_multiplier = nan},
           Gaussian{.noise_multiplier = 1, .sampling = 0},
           Gaussian{.noise_multiplier = 1, .sampling = 1.5},
           DistributedDiscreteGaussian{.sigma = 0.4}, DistributedDiscreteGaussian{.clients = 0},
           Skellam{.variance = -1}, Skellam{.l2 = nan}, Tree{.steps = 0}}) {
    const auto added = accountant.add({bad, 1});
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(accountant.add({Gaussian{}, 0}));
  EXPECT_FALSE(accountant.spent(0));
  EXPECT_FALSE(accountant.spent(1));
  EXPECT_EQ(accountant.spent(1e-6)->epsilon, 0);
  EXPECT_FALSE(gaussian_sigma(-1, 1e-6));
}

}  // namespace
}  // namespace inkling::privacy
