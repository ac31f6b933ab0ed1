#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/federated/round_world.h"

namespace inkling::secagg {
namespace {

// When each client falls silent: before answering in this phase. kDone: never.
using DropPlan = std::vector<ServerPhase>;

constexpr std::array kDropPhases = {ServerPhase::kAdvertising, ServerPhase::kSharing,
                                    ServerPhase::kMasking, ServerPhase::kUnmasking,
                                    ServerPhase::kDone};

std::uint32_t reached(const DropPlan& plan, ServerPhase phase) {
  return static_cast<std::uint32_t>(
      std::count_if(plan.begin(), plan.end(), [&](ServerPhase p) { return p > phase; }));
}

// What the protocol promises on the complete graph, from the counts alone.
bool should_succeed(const Config& config, const DropPlan& plan) {
  const std::uint32_t n = reached(plan, ServerPhase::kAdvertising);
  const auto shape = graph_shape(n, config);
  if (n < config.n_min || !shape) return false;
  const auto may_drop = static_cast<std::uint32_t>(std::uint64_t{config.delta_ppm} * n / kPpm);
  const std::uint32_t needed = std::max({config.n_min, n - may_drop, shape->threshold});
  if (reached(plan, ServerPhase::kSharing) < needed) return false;
  if (reached(plan, ServerPhase::kMasking) < needed) return false;
  if (config.mode == Mode::kStrict && reached(plan, ServerPhase::kConfirming) < needed)
    return false;
  return reached(plan, ServerPhase::kUnmasking) >= shape->threshold;
}

// No client's secrets may have been released in both kinds, by anybody, whatever happened.
void expect_nobody_unmasked(const World& world) {
  std::map<std::uint32_t, std::array<int, 3>> released;
  for (const Unmask& unmask : world.unmasks) {
    for (const ReleasedShare& share : unmask.shares) ++released[share.owner][int(share.kind)];
  }
  for (const auto& [owner, counts] : released) {
    EXPECT_TRUE(counts[1] == 0 || counts[2] == 0) << "client " << owner;
  }
}

void run_with_drops(World& world, const DropPlan& plan) {
  while (world.server.phase() < ServerPhase::kDone) {
    const ServerPhase phase = world.server.phase();
    world.run_phase([&](std::size_t i) { return plan[i] > phase; });
  }
}

// The count of rounds that gave a sum; each of them checked, as is each that did not.
bool check_plan(const Config& config, const DropPlan& plan, std::uint64_t seed = 1) {
  World world(config, plan.size(), seed);
  run_with_drops(world, plan);
  expect_nobody_unmasked(world);
  const RoundOutcome& outcome = world.server.outcome();
  if (world.server.phase() == ServerPhase::kDone) {
    EXPECT_EQ(outcome.sum,
              world.expected_sum([&](std::size_t i) { return plan[i] > ServerPhase::kMasking; }));
    EXPECT_EQ(outcome.survivors, reached(plan, ServerPhase::kMasking));
  } else {
    EXPECT_TRUE(outcome.sum.empty());
    EXPECT_FALSE(outcome.reason.empty());
    EXPECT_NE(outcome.code, RoundCode::kOk);
    EXPECT_NE(outcome.code, RoundCode::kCountMismatch);
  }
  return world.server.phase() == ServerPhase::kDone;
}

// Who never advertises only makes a smaller cohort; every other combination, client by client.
TEST(Dropout, EveryPlanForFourClientsGivesTheSumOrACleanAbort) {
  Config config = small_config(4);
  config.n_min = 2;
  config.delta_ppm = 500'000;
  DropPlan plan(4);
  int sums = 0;
  constexpr std::size_t kPlans = 4 * 4 * 4 * 4;
  for (std::size_t code = 0; code < kPlans; ++code) {
    for (std::size_t i = 0; i < 4; ++i) plan[i] = kDropPhases[1 + (code >> (2 * i) & 3)];
    const bool summed = check_plan(config, plan);
    ASSERT_EQ(summed, should_succeed(config, plan)) << code;
    sums += summed;
  }
  EXPECT_GT(sums, 10);
}

TEST(Dropout, EverySubsetInEveryPhaseForSixClients) {
  Config config = small_config(6);
  config.n_min = 3;
  config.delta_ppm = 500'000;
  for (std::size_t phase = 0; phase < 4; ++phase) {
    for (unsigned subset = 0; subset < 64; ++subset) {
      DropPlan plan(6, ServerPhase::kDone);
      for (std::size_t i = 0; i < 6; ++i) {
        if ((subset >> i & 1) != 0) plan[i] = kDropPhases[phase];
      }
      ASSERT_EQ(check_plan(config, plan), should_succeed(config, plan)) << phase << " " << subset;
    }
  }
}

TEST(Dropout, EverySubsetInEveryPhaseForFiveClientsInStrictMode) {
  Config config = small_config(5);
  config.n_min = 3;
  config.delta_ppm = 500'000;
  config.mode = Mode::kStrict;
  for (const ServerPhase phase : {ServerPhase::kSharing, ServerPhase::kMasking,
                                  ServerPhase::kConfirming, ServerPhase::kUnmasking}) {
    for (unsigned subset = 0; subset < 32; ++subset) {
      DropPlan plan(5, ServerPhase::kDone);
      for (std::size_t i = 0; i < 5; ++i) {
        if ((subset >> i & 1) != 0) plan[i] = phase;
      }
      ASSERT_EQ(check_plan(config, plan), should_succeed(config, plan))
          << int(phase) << " " << subset;
    }
  }
}

TEST(Dropout, RandomCohortsAndPlans) {
  Rng rng(5, "cohorts");
  int sums = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const auto n = static_cast<std::uint32_t>(8 + rng.below(18));
    Config config = small_config(n);
    config.n_min = n / 2;
    config.delta_ppm = 400'000;
    config.ring_bits = static_cast<std::uint32_t>(16 + rng.below(47));
    DropPlan plan(n, ServerPhase::kDone);
    for (ServerPhase& phase : plan) {
      if (rng.below(8) == 0) phase = kDropPhases[rng.below(4)];
    }
    const bool summed = check_plan(config, plan, seed);
    ASSERT_EQ(summed, should_succeed(config, plan)) << n << " " << seed;
    sums += summed;
  }
  EXPECT_GT(sums, 2);
}

// The largest cohort that a test can afford: every client checks every other's signatures.
TEST(Dropout, TwoHundredClientsOfWhomSomeGoInEveryPhase) {
  constexpr std::uint32_t kClients = 200;
  Config config = small_config(kClients);
  config.n_min = 150;
  config.gamma_ppm = 50'000;
  config.delta_ppm = 100'000;
  config.mode = Mode::kSemiMalicious;
  const auto shape = graph_shape(kClients, config);
  ASSERT_TRUE(shape);
  ASSERT_LT(shape->degree, kClients - 1);
  DropPlan plan(kClients, ServerPhase::kDone);
  Rng rng(8, "who-goes");
  for (int i = 0; i < 12; ++i) plan[rng.below(kClients)] = kDropPhases[i % 4];
  ASSERT_TRUE(should_succeed(config, plan));
  EXPECT_TRUE(check_plan(config, plan));
}

// The first prototype of this protocol lost secrets here: its neighbours were index neighbours.
TEST(Dropout, ContiguousIndicesOnASparseGraph) {
  constexpr std::uint32_t kClients = 40;
  Config config = small_config(kClients);
  config.n_min = 30;
  config.gamma_ppm = 20'000;
  config.delta_ppm = 100'000;
  config.complete_graph_max = 8;
  const auto shape = graph_shape(kClients, config);
  ASSERT_TRUE(shape);
  ASSERT_LT(shape->degree, kClients - 1);  // or this tests the complete graph
  DropPlan plan(kClients, ServerPhase::kDone);
  for (std::size_t i = 20; i < 24; ++i) plan[i] = ServerPhase::kMasking;
  EXPECT_TRUE(check_plan(config, plan));
}

// Neighbours on the ring itself are the worst place. As many as delta allows are made up for; if
// more holders of the same secrets go while unmasking, the round is given up, never wrong.
TEST(Dropout, ContiguousRingPositions) {
  constexpr std::uint32_t kClients = 24;
  Config config = small_config(kClients);
  config.n_min = 12;
  config.delta_ppm = 200'000;
  config.mode = Mode::kSemiMalicious;
  config.complete_graph_max = 8;
  ASSERT_EQ(graph_shape(kClients, config), (GraphShape{.degree = 10, .threshold = 6}));
  World probe(config, kClients);
  probe.run_until(ServerPhase::kSharing);
  const auto ring = probe.server.roster().graph().ring();
  for (const auto& [masking, unmasking, summed] :
       {std::tuple(4u, 0u, true), std::tuple(4u, 1u, true), std::tuple(4u, 2u, false)}) {
    DropPlan plan(kClients, ServerPhase::kDone);
    for (std::uint32_t p = 0; p < masking + unmasking; ++p) {
      plan[ring[p]] = p < masking ? ServerPhase::kMasking : ServerPhase::kUnmasking;
    }
    EXPECT_EQ(check_plan(config, plan), summed) << masking << " " << unmasking;
  }
}

TEST(Dropout, TheServerNamesWhoWentWhen) {
  Config config = small_config(9);
  config.n_min = 4;
  config.delta_ppm = 500'000;
  World world(config, 9);
  DropPlan plan(9, ServerPhase::kDone);
  plan[2] = ServerPhase::kMasking;
  plan[7] = ServerPhase::kSharing;
  run_with_drops(world, plan);
  const auto lost = world.server.dropouts();
  ASSERT_EQ(lost.size(), 2u);
  EXPECT_EQ(lost[0].client, client_id(2));
  EXPECT_EQ(lost[0].phase, ServerPhase::kMasking);
  EXPECT_EQ(lost[1].client, client_id(7));
  EXPECT_EQ(lost[1].phase, ServerPhase::kSharing);
  EXPECT_FALSE(world.server.outgoing(client_id(40)));
}

}  // namespace
}  // namespace inkling::secagg
