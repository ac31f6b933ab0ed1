#include "server-sim/simulation/simulation.h"

#include <gtest/gtest.h>

#include <bit>

#include "tests/simulation/synthetic.h"

namespace inkling {
namespace {

Sha256Digest digest_of(const SmallWorld& world) {
  Simulation simulation = world.make();
  play_all(simulation, world.spec.rounds);
  return simulation.model_digest();
}

TEST(Simulation, LearnsWhatALinearModelCan) {
  SmallWorld world;
  world.spec.rounds = 30;
  Simulation simulation = world.make();
  const auto rounds = play_all(simulation, world.spec.rounds);
  ASSERT_TRUE(rounds.back().evaluation);
  EXPECT_GT(rounds.back().evaluation->accuracy, 0.85);  // the centres are 2 deviations apart
  EXPECT_LT(rounds.back().loss, rounds.front().loss);
  EXPECT_EQ(simulation.clients_trained(), 30u * 12u);
}

TEST(Simulation, MakesTheSameModelOnAnyNumberOfThreads) {
  SmallWorld world;
  world.spec.threads = 1;
  const Sha256Digest one = digest_of(world);
  world.spec.threads = 2;
  EXPECT_EQ(digest_of(world), one);
  world.spec.threads = 4;
  EXPECT_EQ(digest_of(world), one);
  world.spec.seed = 2;
  EXPECT_NE(digest_of(world), one);
}

TEST(Simulation, MakesTheSameModelMaskedAndInTheClear) {
  for (const char* name : {"fedavg", "fednova", "scaffold"}) {
    SmallWorld world;
    world.spec.rounds = 2;
    world.spec.algorithm.name = name;
    world.spec.groups.size = 4;
    world.spec.update.rotate = true;
    const Sha256Digest plain = digest_of(world);
    world.spec.groups.masked = true;
    EXPECT_EQ(digest_of(world), plain) << name;
  }
}

TEST(Simulation, MakesTheSameModelWhenDevicesAreLostAfterTheirKeys) {
  SmallWorld world;
  world.spec.rounds = 3;
  world.spec.devices = {.enabled = true, .drop = 0.2};
  world.spec.cohort = {.size = 12, .size_min = 4, .over_selection = 1.3};
  world.spec.groups.size = 6;
  const Sha256Digest plain = digest_of(world);
  world.spec.groups.masked = true;
  EXPECT_EQ(digest_of(world), plain);
}

TEST(Simulation, GoesOnFromACheckpointAsIfItHadNeverStopped) {
  for (const char* name : {"fedavg", "fedadam", "fedyogi", "fedadagrad", "fedavgm", "scaffold"}) {
    SmallWorld world;
    world.spec.algorithm.name = name;
    world.spec.algorithm.server.rate = 0.5;
    world.spec.rounds = 6;
    Simulation whole = world.make();
    play_all(whole, 6);
    Simulation first = world.make();
    play_all(first, 3);
    const Bytes checkpoint = first.save();
    Simulation second = world.make();
    ASSERT_TRUE(second.restore(checkpoint)) << name;
    EXPECT_EQ(second.rounds_played(), 3u);
    play_all(second, 6);
    EXPECT_EQ(second.model_digest(), whole.model_digest()) << name;
  }
}

TEST(Simulation, RefusesADamagedCheckpoint) {
  SmallWorld world;
  Simulation simulation = world.make();
  play_all(simulation, 1);
  const Bytes checkpoint = simulation.save();
  for (std::size_t at = 0; at < checkpoint.size(); at += 7) {
    Bytes damaged = checkpoint;
    damaged[at] ^= 1;
    Simulation other = world.make();
    EXPECT_EQ(other.restore(damaged).error().code, ErrorCode::kCorrupt) << at;
  }
  Simulation other = world.make();
  EXPECT_EQ(other.restore(ByteSpan(checkpoint).first(10)).error().code, ErrorCode::kCorrupt);
}

TEST(Simulation, FedProxStaysNearerToTheGlobalModelTheMoreItPulls) {
  SmallWorld world;
  world.spec.rounds = 1;
  world.spec.local.epochs = 10;
  const auto moved = [&](const char* name, double mu) {
    world.spec.algorithm.name = name;
    world.spec.algorithm.mu = mu;
    Simulation simulation = world.make();
    const std::vector<float> before(simulation.parameters().begin(), simulation.parameters().end());
    play_all(simulation, 1);
    double square = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double d = simulation.parameters()[i] - before[i];
      square += d * d;
    }
    return square;
  };
  EXPECT_LT(moved("fedprox", 1.0), moved("fedprox", 0.1));
  EXPECT_LT(moved("fedprox", 0.1), moved("fedavg", 0));
}

// With the whole population in every round and one local step, FedNova's step is FedAvg's, and so
// is SCAFFOLD's first, whose control variates are still zero.
TEST(Simulation, FedNovaAndScaffoldBeginAsFedAvgWhereTheyShould) {
  SmallWorld world;
  world.partition = partition_uniform(world.train.size(), 30, 3).value();
  world.spec.rounds = 1;
  world.spec.local = {.epochs = 1, .batch = 20, .rate = 0.1};
  world.spec.cohort = {.size = 30};
  world.spec.update.scale = 1 << 24;
  const auto parameters = [&](const char* name) {
    world.spec.algorithm.name = name;
    Simulation simulation = world.make();
    play_all(simulation, 1);
    return std::vector<float>(simulation.parameters().begin(), simulation.parameters().end());
  };
  const auto fedavg = parameters("fedavg"), fednova = parameters("fednova"),
             scaffold = parameters("scaffold");
  for (std::size_t i = 0; i < fedavg.size(); ++i) {
    EXPECT_NEAR(fednova[i], fedavg[i], 1e-6);  // rounding to 2^-24, and a float mean
    EXPECT_NEAR(scaffold[i], fedavg[i], 1e-6);
  }
}

TEST(Simulation, AMinorityOfPoisonersRuinsTheMeanAndNotTheRobustRules) {
  SmallWorld world;
  world.partition = partition_uniform(world.train.size(), 100, 3).value();
  world.spec.rounds = 20;
  world.spec.cohort = {.size = 100};
  world.spec.groups.norm_max = 0.3;  // shorter than most honest updates, so that numbers decide
  world.spec.groups.hostile = 0.3;
  world.spec.groups.root_examples = 20;
  const auto accuracy = [&](GroupRule rule, std::size_t group) {
    world.spec.groups.rule = rule;
    world.spec.groups.size = group;
    Simulation simulation = world.make();
    return play_all(simulation, world.spec.rounds).back().evaluation->accuracy;
  };
  world.spec.attack = {.kind = Attack::kSignFlip, .fraction = 0.2, .strength = 10};
  EXPECT_LT(accuracy(GroupRule::kMean, 1), 0.5);
  EXPECT_LT(accuracy(GroupRule::kMean, 2), 0.5);
  for (const GroupRule rule : {GroupRule::kMedian, GroupRule::kTrimmedMean, GroupRule::kKrum,
                               GroupRule::kNormBound, GroupRule::kFlTrust}) {
    EXPECT_GT(accuracy(rule, 1), 0.8) << group_rule_name(rule);
  }
  EXPECT_GT(accuracy(GroupRule::kMedian, 2), 0.8);
  EXPECT_GT(accuracy(GroupRule::kFlTrust, 2), 0.8);
  world.spec.attack.kind = Attack::kNone;
  EXPECT_GT(accuracy(GroupRule::kMean, 1), 0.8);
  EXPECT_GT(accuracy(GroupRule::kFlTrust, 2), 0.8);
}

TEST(Simulation, SpendsItsPrivacyBudgetAndThenRefusesTheRound) {
  for (const NoisePlace place :
       {NoisePlace::kCentral, NoisePlace::kDiscreteGaussian, NoisePlace::kSkellam}) {
    SmallWorld world;
    world.spec.rounds = 1000;
    world.spec.evaluate_every = 1;
    world.spec.privacy = {.place = place, .noise_multiplier = 2, .epsilon = 8, .delta = 1e-5};
    Simulation simulation = world.make();
    double spent = 0;
    for (;;) {
      const Sha256Digest before = simulation.model_digest();
      const auto round = simulation.play_round();
      if (!round) {
        EXPECT_EQ(round.error().code, ErrorCode::kResourceLimit) << round.error().message;
        EXPECT_EQ(round.error().message.find('\n'), std::string::npos);
        // Nobody was asked for anything.
        EXPECT_EQ(simulation.model_digest(), before);
        EXPECT_EQ(simulation.clients_trained(), 12 * simulation.rounds_played());
        break;
      }
      EXPECT_GT(round->epsilon, spent);
      spent = round->epsilon;
      ASSERT_LE(spent, 8);
    }
    EXPECT_GT(simulation.rounds_played(), 5u);
    EXPECT_GT(spent, 6);  // one round more would not have fitted
  }
}

TEST(Simulation, CalibratedNoiseIsTheLeastThatLetsAllRoundsBePlayed) {
  for (const NoisePlace place :
       {NoisePlace::kCentral, NoisePlace::kDiscreteGaussian, NoisePlace::kSkellam}) {
    SmallWorld world;
    world.spec.rounds = 4;
    world.spec.update.clip_l2 = 1;
    world.spec.privacy = {
        .place = place, .calibrated = true, .epsilon = 3, .delta = 1e-5, .amplified = false};
    Simulation simulation = world.make();
    RoundRecord last;
    for (int i = 0; i < 4; ++i) {
      const auto round = simulation.play_round();
      ASSERT_TRUE(round) << int(place) << ": " << round.error().message;
      last = *round;
    }
    EXPECT_LE(last.epsilon, 3);
    EXPECT_GT(last.epsilon, 2.99);
    EXPECT_EQ(simulation.play_round().error().code, ErrorCode::kResourceLimit);
    world.spec.privacy.calibrated = false;
    world.spec.privacy.noise_multiplier = 0.99 * simulation.noise_multiplier();
    Simulation less = world.make();
    for (int i = 0; i < 3; ++i) {
      const auto round = less.play_round();
      ASSERT_TRUE(round) << int(place) << ": " << round.error().message;
    }
    EXPECT_EQ(less.play_round().error().code, ErrorCode::kResourceLimit);
  }
}

// After t rounds the model holds the noise of one node for each bit of t, not of t rounds.
TEST(Simulation, TreeNoiseGrowsWithTheBitsOfTheRoundsAndEveryClientTakesPartOnce) {
  SmallWorld world;
  world.partition = partition_uniform(world.train.size(), 600, 3).value();
  world.spec.rounds = 64;
  world.spec.evaluate_every = 1;
  world.spec.local.rate = 1e-9;  // the update is noise alone
  world.spec.update.clip_l2 = 1;
  world.spec.cohort = {.size = 9, .size_min = 9, .once = true};
  world.spec.privacy = {.place = NoisePlace::kTree, .noise_multiplier = 9, .delta = 1e-5};
  Simulation simulation = world.make();
  const std::vector<float> before(simulation.parameters().begin(), simulation.parameters().end());
  double epsilon = 0;
  for (std::uint64_t t = 1; t <= 64; ++t) {
    const auto round = simulation.play_round();
    ASSERT_TRUE(round) << round.error().message;
    EXPECT_GE(round->epsilon, epsilon);
    epsilon = round->epsilon;
    double square = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double d = simulation.parameters()[i] - before[i];
      square += d * d;
    }
    // 21 draws of deviation 9 * clip / 9 clients for each bit: the chi-square's 1e-6 tails.
    const double mean = square / static_cast<double>(before.size()) / std::popcount(t);
    EXPECT_GT(mean, 0.24) << t;
    EXPECT_LT(mean, 3.1) << t;
  }
  world.spec.rounds = 67;  // of 9 clients: 603
  EXPECT_EQ(Simulation::create(world.spec, world.data()).error().code, ErrorCode::kUnsupported);
  world.spec.rounds = 64;
  world.spec.cohort.once = false;
  EXPECT_EQ(Simulation::create(world.spec, world.data()).error().code, ErrorCode::kUnsupported);
}

TEST(Population, AsksNobodyTwiceWhereOnceIsWanted) {
  for (const std::uint64_t count : {1u, 2u, 5u, 600u, 4097u}) {
    std::vector<bool> seen(count);
    std::size_t in_place = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t client = shuffled(7, count, i);
      ASSERT_LT(client, count);
      EXPECT_FALSE(seen[client]) << client;
      seen[client] = true;
      in_place += client == i ? 1 : 0;
    }
    EXPECT_LE(in_place, 9u) << count;  // one is expected, of whatever count
  }
}

TEST(Simulation, NoiseIsAsLargeAsItSaysWhereverItIsAdded) {
  SmallWorld world;
  world.spec.rounds = 1;
  world.spec.local.rate = 1e-9;  // the update is noise alone
  world.spec.update.clip_l2 = 1;
  for (const NoisePlace place :
       {NoisePlace::kCentral, NoisePlace::kDiscreteGaussian, NoisePlace::kSkellam}) {
    world.spec.privacy = {.place = place, .noise_multiplier = 6};
    Simulation simulation = world.make();
    const std::vector<float> before(simulation.parameters().begin(), simulation.parameters().end());
    play_all(simulation, 1);
    double square = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double d = simulation.parameters()[i] - before[i];
      square += d * d;
    }
    // 21 draws of deviation 6 * clip / 12 clients: the chi-square's 1e-6 tails are 0.24 and 3.1.
    const double mean = square / static_cast<double>(before.size()) / 0.25;
    EXPECT_GT(mean, 0.24);
    EXPECT_LT(mean, 3.1);
  }
}

TEST(Simulation, RefusesBeforeTheFirstRoundWhatCanNeverWork) {
  const auto error = [](const auto& change) {
    SmallWorld world;
    change(world.spec);
    const auto made = Simulation::create(world.spec, world.data());
    return made ? std::string() : made.error().message;
  };
  EXPECT_NE(error([](auto& s) { s.cohort.size = 31; }).find("31 of 30"), std::string::npos);
  EXPECT_NE(error([](auto& s) { s.algorithm.name = "fedfoo"; }).find("fedfoo"), std::string::npos);
  EXPECT_NE(error([](auto& s) { s.algorithm.name = "topk"; }).find("support"), std::string::npos);
  EXPECT_NE(error([](auto& s) { s.update.ring_bits = 8; }).find("ring_bits"), std::string::npos);
  EXPECT_NE(error([](auto& s) { s.architecture.name = "lenet"; }).find("lenet"), std::string::npos);
  EXPECT_NE(error([](auto& s) { s.local.batch = 0; }).find("batch"), std::string::npos);
  EXPECT_NE(error([](auto& s) {
              s.groups.rule = GroupRule::kKrum;
              s.groups.hostile = 0.2;
            }).find("krum"),
            std::string::npos);
  EXPECT_NE(error([](auto& s) { s.groups.rule = GroupRule::kMedian; }).find("median of 1"),
            std::string::npos);
  EXPECT_NE(error([](auto& s) {
              s.groups.rule = GroupRule::kFlTrust;
              s.algorithm.name = "scaffold";
            }).find("uploads something else"),
            std::string::npos);
  EXPECT_NE(error([](auto& s) {
              s.privacy.place = NoisePlace::kCentral;
              s.update.weigh_by_examples = true;
            }).find("without noise"),
            std::string::npos);
  EXPECT_NE(error([](auto& s) {
              s.privacy.place = NoisePlace::kCentral;
              s.algorithm.name = "fedbuff";
            }).find("amplified"),
            std::string::npos);
}

TEST(Simulation, ReportsALossThatIsNoLongerFinite) {
  SmallWorld world;
  world.spec.local.rate = 3e38;
  world.spec.local.epochs = 20;
  Simulation simulation = world.make();
  const auto round = simulation.play_round();
  ASSERT_FALSE(round);
  EXPECT_NE(round.error().message.find("too large"), std::string::npos) << round.error().message;
}

TEST(Simulation, SignSgdMovesEveryParameterByOneStepTheWayMostClientsVote) {
  SmallWorld world;
  world.spec.algorithm.name = "signsgd";
  world.spec.rounds = 20;
  Simulation simulation = world.make();
  const std::vector<float> before(simulation.parameters().begin(), simulation.parameters().end());
  const auto step = static_cast<float>(world.spec.local.rate);
  std::size_t moved = 0;
  play_all(simulation, 1);
  for (std::size_t i = 0; i < before.size(); ++i) {
    const float after = simulation.parameters()[i];
    const bool still = after == before[i];
    moved += still ? 0 : 1;
    EXPECT_TRUE(still || after == before[i] + step || after == before[i] - step) << i;
  }
  EXPECT_GT(moved, before.size() / 2);
  EXPECT_GT(play_all(simulation, world.spec.rounds).back().evaluation->accuracy, 0.8);
}

class Nothing final : public Algorithm {
 public:
  Nothing(const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)) {}
  void upload(const ClientTurn&, std::span<float> update, std::span<double>) override {
    std::fill(update.begin(), update.end(), 0.0f);
  }
};

TEST(Simulation, PlaysAnAlgorithmThatTheLibraryDoesNotKnow) {
  SmallWorld world;
  world.spec.algorithm.make = [](const AlgorithmSpec&, const AlgorithmContext& context,
                                 ServerOptimizer optimizer) -> Result<std::unique_ptr<Algorithm>> {
    return std::make_unique<Nothing>(context, std::move(optimizer));
  };
  Simulation simulation = world.make();
  const Sha256Digest before = simulation.model_digest();
  play_all(simulation, 2);
  EXPECT_EQ(simulation.model_digest(), before);
}

}  // namespace
}  // namespace inkling
