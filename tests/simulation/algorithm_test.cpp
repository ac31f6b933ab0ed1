// Each algorithm against another one that it must be equal to in a special case, and against what
// only it does.

#include "server-sim/simulation/algorithm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "server-sim/simulation/client_vectors.h"
#include "tests/simulation/synthetic.h"

namespace inkling {
namespace {

// With the whole population in each round, steps on all of a client's examples, and a fine ring.
SmallWorld make_whole_world() {
  SmallWorld world;
  world.partition = partition_uniform(world.train.size(), 30, 3).value();
  world.spec.rounds = 3;
  world.spec.local = {.epochs = 2, .batch = 20, .rate = 0.1};
  world.spec.cohort = {.size = 30};
  world.spec.update.scale = 1 << 24;
  return world;
}

std::vector<float> final_model(const SmallWorld& world) {
  Simulation simulation = world.make();
  play_all(simulation, world.spec.rounds);
  return {simulation.parameters().begin(), simulation.parameters().end()};
}

Sha256Digest final_digest(const SmallWorld& world) {
  Simulation simulation = world.make();
  play_all(simulation, world.spec.rounds);
  return simulation.model_digest();
}

double distance(std::span<const float> a, std::span<const float> b) {
  double square = 0;
  for (std::size_t i = 0; i < a.size(); ++i) square += std::pow(double{a[i]} - b[i], 2);
  return std::sqrt(square);
}

Evaluation final_personal(const SmallWorld& world, const Partition& test_partition) {
  SimulationData data = world.data();
  data.test_partition = &test_partition;
  Simulation simulation = Simulation::create(world.spec, data).value();
  return play_all(simulation, world.spec.rounds).back().personal.value();
}

// Rounding to 2^-24 for each of a few rounds, and float sums in another order.
constexpr double kRounding = 2e-6;

TEST(FedBuff, WithOneClientAtWorkIsFedAvgOfOneClient) {
  SmallWorld world;
  world.spec.rounds = 8;
  world.spec.cohort = {.size = 1, .size_min = 1};
  const Sha256Digest fedavg = final_digest(world);
  world.spec.algorithm.name = "fedbuff";
  EXPECT_EQ(final_digest(world), fedavg);
  world.spec.algorithm.concurrency = 3;  // now two of three train from older models
  EXPECT_NE(final_digest(world), fedavg);
}

TEST(FedBuff, SpendsLessTimeOnSlowDevicesThanRoundsDo) {
  SmallWorld world;
  world.spec.rounds = 30;
  world.spec.devices = {.enabled = true, .examples_per_s = 10, .speed_sigma = 2};
  world.spec.cohort = {.size = 6, .size_min = 6, .deadline_s = 1e9};
  Simulation rounds = world.make();
  const double in_rounds = play_all(rounds, 30).back().virtual_s;
  world.spec.algorithm.name = "fedbuff";
  Simulation buffered = world.make();
  const RoundRecord last = play_all(buffered, 30).back();
  EXPECT_LT(last.virtual_s, in_rounds / 2);
  EXPECT_GT(last.evaluation->accuracy, 0.8);
}

TEST(FedBuff, IsTheSameMaskedOnMoreThreadsAndFromACheckpoint) {
  SmallWorld world;
  world.spec.rounds = 6;
  world.spec.devices = {.enabled = true, .speed_sigma = 1, .drop = 0.1};
  world.spec.cohort = {.size = 6, .size_min = 6, .deadline_s = 60};
  world.spec.algorithm = {.name = "fedbuff", .concurrency = 12};
  Simulation whole = world.make();
  play_all(whole, 6);
  world.spec.threads = 3;
  EXPECT_EQ(final_digest(world), whole.model_digest());
  Simulation first = world.make();
  play_all(first, 3);
  Simulation second = world.make();
  ASSERT_TRUE(second.restore(first.save()));
  play_all(second, 6);
  EXPECT_EQ(second.model_digest(), whole.model_digest());
  world.spec.groups.size = 3;
  const Sha256Digest plain = final_digest(world);
  world.spec.groups.masked = true;
  EXPECT_EQ(final_digest(world), plain);
}

TEST(FedBuff, LosesUpdatesThatAreStalerThanItTakes) {
  SmallWorld world;
  world.spec.rounds = 20;
  world.spec.devices = {.enabled = true, .examples_per_s = 10, .speed_sigma = 2};
  world.spec.cohort = {.size = 3, .size_min = 3, .deadline_s = 1e9};
  world.spec.algorithm = {.name = "fedbuff", .concurrency = 12, .staleness_max = 100};
  const auto lost = [&] {
    Simulation simulation = world.make();
    std::size_t sum = 0;
    for (const RoundRecord& round : play_all(simulation, 20)) sum += round.lost;
    return sum;
  };
  EXPECT_EQ(lost(), 0u);
  world.spec.algorithm.staleness_max = 0;
  EXPECT_GT(lost(), 10u);
}

TEST(FedPer, WithNothingPersonalIsFedAvgAndSoIsFedRep) {
  SmallWorld world = make_whole_world();
  const Sha256Digest fedavg = final_digest(world);
  for (const char* name : {"fedper", "fedrep"}) {
    world.spec.algorithm.name = name;
    EXPECT_EQ(final_digest(world), fedavg) << name;
  }
}

TEST(FedPer, PersonalVariablesStayAsTheyWereAtTheServer) {
  for (const char* name : {"fedper", "fedrep"}) {
    SmallWorld world = make_whole_world();
    world.spec.algorithm = {.name = name, .personal = {"bias1"}};
    Simulation simulation = world.make();
    const std::vector<float> before(simulation.parameters().begin(), simulation.parameters().end());
    const auto rounds = play_all(simulation, 2);
    // The bias of three labels comes first.
    const auto now = simulation.parameters();
    EXPECT_TRUE(std::equal(now.begin(), now.begin() + 3, before.begin())) << name;
    EXPECT_GT(distance(now.subspan(3), std::span(before).subspan(3)), 0.1) << name;
    world.spec.algorithm.name = "fedavg";
    EXPECT_LT(rounds[0].bytes_up, world.make().play_round()->bytes_up) << name;
  }
}

// Features that say nothing, and on each client one label: nobody else can know it.
TEST(PersonalModels, KnowWhatOnlyTheirDeviceKnows) {
  constexpr std::size_t kClients = 30, kEach = 20, kWidth = 6;
  const auto make_set = [](std::uint64_t seed) {
    Rng rng(seed, "noise");
    std::vector<float> values(kClients * kEach * kWidth);
    for (float& v : values) v = static_cast<float>(rng.normal());
    std::vector<std::uint32_t> labels;
    for (std::size_t i = 0; i < kClients * kEach; ++i)
      labels.push_back(static_cast<std::uint32_t>(i / kEach % 3));
    return ExampleSet::from_values({kWidth}, std::move(values), std::move(labels), 3).value();
  };
  std::vector<std::uint32_t> owner;
  for (std::size_t i = 0; i < kClients * kEach; ++i)
    owner.push_back(static_cast<std::uint32_t>(i / kEach));
  SmallWorld world;
  world.train = make_set(1);
  world.test = make_set(2);
  world.partition = partition_natural(owner).value();
  const PartitionPtr test = partition_owned(owner, kClients).value();
  world.spec.rounds = 10;
  world.spec.local = {.epochs = 2, .batch = 10, .rate = 0.2};
  world.spec.cohort = {.size = kClients};
  Simulation fedavg = world.make();
  EXPECT_LT(play_all(fedavg, 10).back().evaluation->accuracy, 0.45);  // a guess: 1 in 3
  for (const AlgorithmSpec& spec :
       {AlgorithmSpec{.name = "fedper", .personal = {"bias1"}},
        AlgorithmSpec{.name = "fedrep", .personal = {"bias1"}},
        AlgorithmSpec{.name = "ditto", .mu = 0.1}, AlgorithmSpec{.name = "pfedme", .mu = 0.5}}) {
    world.spec.algorithm = spec;
    EXPECT_GT(final_personal(world, *test).accuracy, 0.9) << spec.name;
  }
}

TEST(FedRep, TrainsTheHeadUnderTheOldBodyAndTheBodyUnderTheNewHead) {
  SmallWorld world = make_whole_world();
  const LocalSpec& local = world.spec.local;
  LocalTrainer trainer =
      LocalTrainer::create(world.spec.architecture, world.train, local, {}, 1).value();
  const std::vector<float> start = trainer.initial_parameters();
  std::vector<std::uint32_t> own;
  world.partition->examples_of(0, own);
  const std::vector<ParameterRange> head = {{0, 3}}, body = {{3, start.size()}};
  std::vector<float> first(start.size()), second(start.size());
  Rng rng(1, "order");
  ASSERT_TRUE(trainer.train(start, own, {}, {}, rng, first, {.kept = body}));
  ASSERT_TRUE(trainer.train(first, own, {}, {}, rng, second, {.epochs = 4, .kept = head}));
  EXPECT_TRUE(std::equal(start.begin() + 3, start.end(), first.begin() + 3));
  EXPECT_GT(distance(std::span(start).first(3), std::span(first).first(3)), 1e-3);
  EXPECT_TRUE(std::equal(first.begin(), first.begin() + 3, second.begin()));
  EXPECT_GT(distance(std::span(first).subspan(3), std::span(second).subspan(3)), 1e-2);
}

TEST(Ditto, ItsGlobalModelIsFedAvgs) {
  SmallWorld world = make_whole_world();
  const Sha256Digest fedavg = final_digest(world);
  world.spec.algorithm = {.name = "ditto", .mu = 0.5};
  EXPECT_EQ(final_digest(world), fedavg);
}

// A client's own model under no pull is what it would have learned alone: that of a client whose
// every step is its own, without a server.
TEST(Ditto, WithoutAPullIsLocalTrainingAndWithAStrongOneTheGlobalModel) {
  SmallWorld world = make_whole_world();
  std::vector<std::uint32_t> own;
  world.partition->examples_of(4, own);
  world.spec.local = {.epochs = 2, .batch = own.size(), .rate = 0.1};
  LocalTrainer alone =
      LocalTrainer::create(world.spec.architecture, world.train, world.spec.local, {}, 1).value();
  std::vector<float> before = alone.initial_parameters(), after = before;
  Rng order(1, "any");  // one batch has them all
  for (std::uint64_t round = 0; round < world.spec.rounds; ++round) {
    ASSERT_TRUE(alone.train(before, own, {}, {}, order, after));
    before = after;
  }
  AlgorithmSpec spec{.name = "ditto", .mu = 0};
  const AlgorithmContext context{.parameters = after.size(), .clients = 30};
  const auto ditto = make_algorithm(spec, context).value();
  spec.mu = 9;  // times the rate: nearly all of the way back at each step
  const auto pulled = make_algorithm(spec, context).value();
  LocalTrainer trainer = LocalTrainer::create(world.spec.architecture, world.train,
                                              world.spec.local, {.proximal = true}, 1)
                             .value();
  const std::vector<float> global = trainer.initial_parameters();
  std::vector<float> scratch(global.size()), trained(global.size());
  const TrainLocally train = [&](std::span<const float> start, const LocalTermValues& terms,
                                 std::span<float> to, const LocalPart& part) {
    return trainer.train(start, own, {}, terms, order, to, part);
  };
  for (std::uint64_t round = 0; round < world.spec.rounds; ++round) {
    ASSERT_TRUE(ditto->train({.client = 4}, global, train, scratch, trained));
    ASSERT_TRUE(pulled->train({.client = 4}, global, train, scratch, trained));
  }
  std::vector<float> own_model = global, pulled_model = global;
  ditto->personalise(4, own_model);
  pulled->personalise(4, pulled_model);
  EXPECT_LT(distance(own_model, after), 1e-5);  // float sums in another order
  EXPECT_GT(distance(own_model, global), 0.3);
  EXPECT_LT(distance(pulled_model, global), distance(own_model, global) / 4);
}

// One local round with eta mu = 1 ends at theta, which FedProx with the same mu uploads.
TEST(PFedMe, OfOneLocalRoundWithAFullStepIsFedProx) {
  SmallWorld world = make_whole_world();
  world.spec.algorithm = {.name = "fedprox", .mu = 0.5};
  const std::vector<float> fedprox = final_model(world);
  world.spec.algorithm = {.name = "pfedme", .mu = 0.5, .local_rounds = 1, .personal_rate = 2};
  EXPECT_LT(distance(final_model(world), fedprox), kRounding * std::sqrt(fedprox.size()));
  world.spec.algorithm.personal_rate = 1;  // half of the step
  EXPECT_GT(distance(final_model(world), fedprox), 0.05);
}

TEST(AdaptiveClip, FollowsTheMedianOfTheNormsFromBothSides) {
  // Norms of the updates of a first round, of which the clip must end up near the median.
  for (const double initial : {0.01, 5.0}) {
    AlgorithmSpec spec{.name = "adaptive_clip", .clip_initial = initial};
    const auto algorithm = make_algorithm(spec, {.parameters = 2, .clip_l2 = 10}).value();
    std::vector<float> parameters(2);
    double clipped = 0;
    for (int round = 0; round < 120; ++round) {
      RoundMean mean{.upload = {0, 0}, .metrics = {0}, .clients = 9};
      clipped = 0;
      for (int client = 0; client < 9; ++client) {
        const float norm = 0.1f * static_cast<float>(client + 1);  // median .5
        std::vector<float> update = {norm * 0.6f, norm * 0.8f};
        std::vector<double> metrics(1);
        algorithm->upload({}, update, metrics);
        mean.metrics[0] += metrics[0] / 9;
        clipped = std::max(clipped, std::hypot(double{update[0]}, double{update[1]}));
      }
      ASSERT_TRUE(algorithm->merge(mean, parameters));
    }
    EXPECT_GT(clipped, 0.4) << initial;
    EXPECT_LT(clipped, 0.6) << initial;
  }
}

TEST(AdaptiveClip, OfANormThatNobodyReachesIsFedAvgAndRefusesNoise) {
  SmallWorld world = make_whole_world();
  const std::vector<float> fedavg = final_model(world);
  world.spec.algorithm = {.name = "adaptive_clip", .clip_initial = 10, .clip_rate = 1e-9};
  EXPECT_LT(distance(final_model(world), fedavg), kRounding * std::sqrt(fedavg.size()));
  world.spec.privacy.place = NoisePlace::kCentral;
  const auto refused = Simulation::create(world.spec, world.data());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("without noise"), std::string::npos);
}

TEST(RandomK, OfAllCoordinatesIsFedAvg) {
  SmallWorld world = make_whole_world();
  const std::vector<float> fedavg = final_model(world);
  world.spec.algorithm = {.name = "randomk", .keep = 1};
  EXPECT_LT(distance(final_model(world), fedavg), kRounding * std::sqrt(fedavg.size()));
}

// What a client could not upload in one round it uploads later: of a delta that is the same in each
// round, all of it arrives, however few coordinates a round carries.
TEST(RandomK, MovesKCoordinatesARoundAndForgetsNothing) {
  constexpr std::size_t kParameters = 20, kRounds = 200;
  const AlgorithmSpec spec{.name = "randomk", .keep = 0.2};
  const auto algorithm = make_algorithm(spec, {.parameters = kParameters}).value();
  ASSERT_EQ(algorithm->upload_length(), 4u);
  std::vector<float> parameters(kParameters);
  for (std::size_t round = 1; round <= kRounds; ++round) {
    algorithm->begin_round(round);
    std::vector<float> update(kParameters, 0.01f);
    algorithm->upload({.client = 3}, update, {});
    const std::vector<float> before = parameters;
    ASSERT_TRUE(algorithm->merge(
        {.upload = {update.begin(), update.begin() + 4}, .metrics = {}, .clients = 1}, parameters));
    std::size_t moved = 0;
    for (std::size_t i = 0; i < kParameters; ++i) moved += parameters[i] != before[i] ? 1 : 0;
    ASSERT_EQ(moved, 4u);
  }
  // A coordinate waits for 5 rounds on average; 60 of 200 without it has probability 20 * .8^60.
  for (const float value : parameters) {
    EXPECT_LE(value, 0.01f * kRounds * 1.001f);
    EXPECT_GT(value, 0.01f * (kRounds - 60));
  }
}

TEST(CountSketch, WideEnoughForAllCoordinatesIsFedAvg) {
  SmallWorld world = make_whole_world();
  const std::vector<float> fedavg = final_model(world);
  world.spec.algorithm = {
      .name = "count_sketch", .keep = 1, .sketch_rows = 5, .sketch_columns = 4096};
  EXPECT_LT(distance(final_model(world), fedavg), kRounding * std::sqrt(fedavg.size()));
}

TEST(CountSketch, MovesTheLargestCoordinatesFirstAndTheOthersLater) {
  constexpr std::size_t kParameters = 40;
  const AlgorithmSpec spec{
      .name = "count_sketch", .keep = 0.05, .sketch_rows = 5, .sketch_columns = 64};
  const auto algorithm = make_algorithm(spec, {.parameters = kParameters}).value();
  std::vector<float> parameters(kParameters);
  const auto play = [&](float large, float small) {
    std::vector<float> update(algorithm->upload_length());
    std::fill_n(update.begin(), kParameters, 0.0f);
    update[7] = update[21] = large;
    update[30] = small;
    algorithm->upload({}, update, {});
    ASSERT_TRUE(algorithm->merge({.upload = update, .metrics = {}, .clients = 1}, parameters));
  };
  play(1.0f, 0.25f);
  EXPECT_NEAR(parameters[7], 1, 1e-5);  // float cells
  EXPECT_NEAR(parameters[21], 1, 1e-5);
  EXPECT_EQ(parameters[30], 0);
  play(0, 0);
  EXPECT_NEAR(parameters[30], 0.25, 1e-5);
}

TEST(Simulation, GoesOnFromACheckpointWithWhatClientsRemember) {
  for (const char* name : {"fedper", "fedrep", "ditto", "pfedme", "adaptive_clip", "randomk",
                           "count_sketch", "fedbuff"}) {
    SmallWorld world;
    world.spec.algorithm.name = name;
    world.spec.algorithm.mu = 0.3;
    if (std::string_view(name).starts_with("fed") && std::string_view(name) != "fedbuff")
      world.spec.algorithm.personal = {"bias1"};
    Simulation whole = world.make();
    play_all(whole, 6);
    Simulation first = world.make();
    play_all(first, 3);
    const Bytes checkpoint = first.save();
    Simulation second = world.make();
    ASSERT_TRUE(second.restore(checkpoint)) << name;
    play_all(second, 6);
    EXPECT_EQ(second.model_digest(), whole.model_digest()) << name;
    EXPECT_EQ(second.save(), whole.save()) << name;
  }
}

TEST(Simulation, MakesTheSameModelMaskedAndInTheClearWithEveryAlgorithm) {
  for (const char* name :
       {"fedper", "fedrep", "ditto", "pfedme", "adaptive_clip", "randomk", "count_sketch"}) {
    SmallWorld world;
    world.spec.rounds = 2;
    world.spec.algorithm.name = name;
    world.spec.algorithm.mu = 0.3;
    world.spec.algorithm.sketch_columns = 16;
    if (std::string_view(name).starts_with("fed")) world.spec.algorithm.personal = {"bias1"};
    world.spec.groups.size = 6;
    const Sha256Digest plain = final_digest(world);
    world.spec.groups.masked = true;
    EXPECT_EQ(final_digest(world), plain) << name;
  }
}

TEST(Algorithms, RefuseSettingsThatMakeNoSense) {
  const auto error = [](AlgorithmSpec spec) {
    SmallWorld world;
    world.spec.algorithm = std::move(spec);
    const auto made = Simulation::create(world.spec, world.data());
    return made ? std::string() : made.error().message;
  };
  EXPECT_NE(error({.name = "fedper", .personal = {"bias7"}}).find("bias1, weights1"),
            std::string::npos);
  EXPECT_NE(error({.name = "fedper", .personal = {"bias1", "weights1"}}).find("all"),
            std::string::npos);
  EXPECT_NE(error({.name = "pfedme", .mu = 2}).find("pfedme"), std::string::npos);
  EXPECT_NE(error({.name = "adaptive_clip", .clip_initial = 11}).find("clip"), std::string::npos);
  EXPECT_NE(error({.name = "randomk", .keep = 0}).find("randomk"), std::string::npos);
  EXPECT_NE(error({.name = "count_sketch", .sketch_rows = 4}).find("odd"), std::string::npos);
  EXPECT_NE(error({.name = "fedbuff", .concurrency = 25}).find("of 30"), std::string::npos);
}

TEST(ClientVectors, KeepWhatEachClientStoredLast) {
  ClientVectors vectors(2);
  std::vector<float> values = {7, 7};
  EXPECT_FALSE(vectors.get(5, values));
  EXPECT_EQ(values, (std::vector<float>{7, 7}));
  vectors.put(5, std::vector<float>{1, 2});
  vectors.put(1, std::vector<float>{3, 4});
  vectors.put(5, std::vector<float>{5, 6});
  ClientVectors copy(2);
  ASSERT_TRUE(copy.load(vectors.save()));
  for (const ClientVectors* v : {&vectors, &copy}) {
    EXPECT_TRUE(v->get(5, values));
    EXPECT_EQ(values, (std::vector<float>{5, 6}));
    EXPECT_TRUE(v->get(1, values));
    EXPECT_EQ(values, (std::vector<float>{3, 4}));
    EXPECT_TRUE(v->status());
  }
  EXPECT_EQ(copy.save(), vectors.save());
  EXPECT_EQ(ClientVectors(3).load(vectors.save()).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace inkling
