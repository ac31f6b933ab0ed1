#include "runtime/session.h"

#include <gtest/gtest.h>

#include "runtime/ops.h"
#include "tests/runtime/allocations.h"
#include "tests/runtime/support.h"

namespace inkling {
namespace {

// A convolutional network with a residual add, a reshape and a softmax.
Graph network() {
  Rng rng(3, "network");
  Graph g;
  const auto weights = [&](Shape shape) {
    return g.constant(test::random_tensor({DType::kF32, shape}, rng, -0.3, 0.3));
  };
  const ValueId x = g.input("x", {DType::kF32, {2, 8, 8, 3}});
  const ValueId a =
      relu(g, add(g, conv2d(g, x, weights({3, 3, 3, 16}), {.pads = {1, 1, 1, 1}}), weights({16})));
  const ValueId b = relu(g, conv2d(g, a, weights({1, 1, 16, 16}), {}));
  const ValueId c = max_pool(g, add(g, a, b), {2, 2}, {.strides = {2, 2}});
  const ValueId logits = matmul(g, reshape(g, c, {2, 4 * 4 * 16}), weights({4 * 4 * 16, 10}));
  g.output("logits", logits);
  g.output("probabilities", softmax(g, logits));
  return g;
}

TEST(Session, OptimisedPlanAgreesWithTheReference) {
  const Graph g = network();
  EXPECT_LT(test::difference(test::run(g, {}, 1),
                             test::run(g, {.optimize = false, .reference_only = true}, 1)),
            1e-6);
}

TEST(Session, RunAllocatesNothing) {
  for (const unsigned threads : {1u, 2u}) {
    auto session = Session::create(network(), {.threads = threads});
    ASSERT_TRUE(session);
    session->run();
    const std::size_t before = test::allocations();
    for (int i = 0; i < 10; ++i) session->run();
    EXPECT_EQ(test::allocations(), before);
  }
}

TEST(Session, RecurrentStepsAndTheirGradientsAllocateNothing) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {9, 12}}), u = g.input("u", {DType::kF32, {4, 12}});
  const ValueId start = g.input("start", {DType::kF32, {1, 4}});
  const ValueId h = gru(g, x, u, start);
  g.output("dx", g.append(OpKind::kGruGradient, {x, u, start, h, h}));
  auto session = Session::create(g, {});
  ASSERT_TRUE(session) << session.error().message;
  session->run();
  const std::size_t before = test::allocations();
  session->run();
  EXPECT_EQ(test::allocations(), before);
}

TEST(Session, AnAppsThreadsGiveTheSameBits) {
  int calls = 0;
  const Executor executor{.threads = 2,
                          .run =
                              [](void* context, std::size_t tasks, void (*task)(void*, std::size_t),
                                 void* task_context) {
                                ++*static_cast<int*>(context);
                                for (std::size_t i = tasks; i-- > 0;) task(task_context, i);
                              },
                          .context = &calls};
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {512, 256}});
  g.output("y", softmax(g, matmul(g, x, g.input("w", {DType::kF32, {256, 256}}))));
  const auto own = test::run(g, {}, 1);
  EXPECT_EQ(test::run(g, {.executor = executor}, 1), own);
  EXPECT_GT(calls, 0);
}

TEST(Session, ArenaIsCloseToTheLowerBound) {
  auto session = Session::create(network(), {});
  ASSERT_TRUE(session);
  EXPECT_LE(static_cast<double>(session->arena_bytes()),
            1.15 * static_cast<double>(session->arena_lower_bound()));
}

TEST(Session, InputsKeepTheirValuesBetweenRuns) {
  auto session = Session::create(network(), {});
  ASSERT_TRUE(session);
  Rng rng(1, "x");
  for (float& v : session->input("x")->span<float>()) v = static_cast<float>(rng.uniform());
  session->run();
  const auto logits = session->output("logits")->span<float>();
  const std::vector<float> first(logits.begin(), logits.end());
  session->run();
  EXPECT_EQ(first, std::vector<float>(logits.begin(), logits.end()));
}

TEST(Session, NamesWhatIsNotThere) {
  auto session = Session::create(network(), {});
  ASSERT_TRUE(session);
  EXPECT_EQ(session->input("y").error().message, "session: no input named 'y'");
  EXPECT_EQ(session->output("y").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(session->variable("y").error().code, ErrorCode::kNotFound);
}

TEST(Session, RefusesAGraphWithALatchedError) {
  Graph g;
  matmul(g, g.input("a", {DType::kF32, {2}}), g.input("b", {DType::kF32, {2}}));
  const auto session = Session::create(g);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::kInvalidArgument);
}

// Variables take their updates at the end of the run, whether or not they could be written in
// place.
TEST(Session, UpdatesSeeTheOldValuesOfEveryVariable) {
  Graph g;
  const ValueId a = g.variable("a", Tensor::from<float>({2}, {1, 2}));
  const ValueId b = g.variable("b", Tensor::from<float>({2}, {10, 20}));
  g.update(a, add(g, a, b));  // in place: but b's update below still reads the old a
  g.update(b, sub(g, b, a));
  g.output("old_a", reshape(g, a, {2, 1}));
  auto session = Session::create(g, {.optimize = false});
  ASSERT_TRUE(session);
  session->run();
  EXPECT_EQ(session->variable("a")->as<float>()[0], 11);
  EXPECT_EQ(session->variable("b")->as<float>()[0], 9);
  EXPECT_EQ(session->output("old_a")->as<float>()[0], 1);
}

TEST(Session, VariablesSwapThroughReshapedCopies) {
  Graph g;
  const ValueId a = g.variable("a", Tensor::from<float>({2}, {1, 2}));
  const ValueId b = g.variable("b", Tensor::from<float>({2}, {3, 4}));
  g.update(a, reshape(g, reshape(g, b, {1, 2}), {2}));
  g.update(b, reshape(g, reshape(g, a, {1, 2}), {2}));
  auto session = Session::create(g, {.optimize = false});
  ASSERT_TRUE(session);
  session->run();
  EXPECT_EQ(session->variable("a")->as<float>()[1], 4);
  EXPECT_EQ(session->variable("b")->as<float>()[1], 2);
}

// The parts of a concatenation of channels are written into their places by the convolutions.
TEST(Session, ConcatenatesConvolutionsWithoutCopies) {
  Graph g;
  Rng rng(3, "parts");
  const auto weights = [&](Shape shape) {
    return g.constant(test::random_tensor({DType::kF32, shape}, rng));
  };
  const ValueId x = g.input("x", {DType::kF32, {2, 9, 10, 17}});
  const Window same{.pads = {1, 1, 1, 1}};
  const std::vector<ValueId> parts = {
      relu(g, conv2d(g, x, weights({1, 1, 17, 5}), {})),
      add(g, conv2d(g, x, weights({3, 3, 17, 40}), same), weights({40})),
      conv2d(g, x, weights({3, 3, 17, 3}), same)};
  const ValueId whole = concat(g, parts, 3);
  g.output("whole", whole);
  g.output("y", relu(g, conv2d(g, whole, weights({1, 1, 48, 6}), {})));
  auto session = Session::create(g, {});
  ASSERT_TRUE(session);
  for (const auto& step : session->steps()) EXPECT_NE(step.op, OpKind::kConcat);
  const auto expected = test::run(g, {.reference_only = true}, 1);
  EXPECT_LT(test::difference(test::run(g, {}, 1), expected), 1e-5);
  EXPECT_EQ(test::run(g, {.threads = 3}, 1), test::run(g, {}, 1));
}

TEST(Session, CopiesPartsThatSomeoneElseReads) {
  Graph g;
  Rng rng(3, "parts");
  const ValueId x = g.input("x", {DType::kF32, {1, 4, 4, 3}});
  const auto weights = [&] {
    return g.constant(test::random_tensor({DType::kF32, {1, 1, 3, 3}}, rng));
  };
  const ValueId first = conv2d(g, x, weights(), {}), second = conv2d(g, x, weights(), {});
  const std::vector<ValueId> read_twice = {first, second}, same_twice = {second, second};
  g.output("both", concat(g, read_twice, 3));
  g.output("other", relu(g, concat(g, same_twice, 3)));
  EXPECT_LT(test::difference(test::run(g, {}, 1), test::run(g, {.reference_only = true}, 1)), 1e-6);
}

// Random chains of elementwise ops, views and updates: what the planner shares must not be seen.
TEST(Session, SharedStorageNeverChangesAResult) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed, "graph");
    Graph g;
    std::vector<ValueId> pool = {g.input("x", {DType::kF32, {2, 6}}),
                                 g.input("y", {DType::kF32, {2, 6}}),
                                 g.variable("v", test::random_tensor({DType::kF32, {2, 6}}, rng))};
    const auto pick = [&] { return pool[rng.below(pool.size())]; };
    for (int i = 0; i < 14; ++i) {
      switch (rng.below(4)) {
        case 0:
          pool.push_back(tanh(g, pick()));
          break;
        case 1:
          pool.push_back(add(g, pick(), pick()));
          break;
        case 2:
          pool.push_back(mul(g, pick(), pick()));
          break;
        default:
          pool.push_back(tanh(g, reshape(g, reshape(g, tanh(g, pick()), {3, 4}), {2, 6})));
      }
    }
    for (std::size_t i = pool.size() - 3; i < pool.size(); ++i) g.output(concat("o", i), pool[i]);
    g.update(pool[2], add(g, pool[2], pool.back()));
    const auto shared = test::run(g, {}, seed);
    // Keeping every value as an output forbids all sharing.
    Graph apart = g;
    for (std::size_t i = 3; i < pool.size() - 3; ++i) apart.output(concat("o", i), pool[i]);
    auto kept = test::run(apart, {.optimize = false}, seed);
    kept.resize(shared.size());
    ASSERT_LT(test::difference(shared, kept), 1e-6) << "seed " << seed;
  }
}

}  // namespace
}  // namespace inkling
