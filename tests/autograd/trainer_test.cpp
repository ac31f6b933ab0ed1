#include "autograd/trainer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/losses.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"

namespace inkling {
namespace {

Tensor random(Shape shape, Rng& rng, double scale) {
  Tensor tensor = Tensor::zeros({DType::kF32, shape});
  for (float& v : tensor.mutable_data<float>()) v = static_cast<float>(scale * rng.normal());
  return tensor;
}

// A small network that must tell which of three inputs is the largest.
Trainer make_trainer(const Optimizer& optimizer, unsigned threads = 1,
                     bool reference_only = false) {
  Rng rng(1, "init");
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {64, 3}});
  const ValueId targets = g.input("targets", {DType::kF32, {64, 3}});
  const ValueId w1 = g.variable("w1", random({3, 16}, rng, 0.5));
  const ValueId b1 = g.variable("b1", Tensor::zeros({DType::kF32, {16}}));
  const ValueId w2 = g.variable("w2", random({16, 3}, rng, 0.3));
  const ValueId hidden = relu(g, add(g, matmul(g, x, w1), b1));
  const ValueId loss = softmax_cross_entropy(g, matmul(g, hidden, w2), targets);
  auto trainer = Trainer::create(std::move(g), {.loss = loss,
                                                .train = {w1, b1, w2},
                                                .optimizer = optimizer,
                                                .plan = {.threads = threads,
                                                         .optimize = !reference_only,
                                                         .reference_only = reference_only}});
  EXPECT_TRUE(trainer) << trainer.error().message;
  return std::move(*trainer);
}

double train(Trainer& trainer, int steps, double rate) {
  Rng rng(2, "data");
  double loss = 0;
  for (int step = 0; step < steps; ++step) {
    const auto x = trainer.input("x")->span<float>();
    const auto targets = trainer.input("targets")->span<float>();
    for (std::size_t row = 0; row < 64; ++row) {
      std::size_t best = 0;
      for (std::size_t i = 0; i < 3; ++i) {
        x[row * 3 + i] = static_cast<float>(rng.normal());
        if (x[row * 3 + i] > x[row * 3 + best]) best = i;
      }
      for (std::size_t i = 0; i < 3; ++i) targets[row * 3 + i] = i == best ? 1.0f : 0.0f;
    }
    const StepReport report = trainer.step(rate);
    EXPECT_TRUE(report.finite);
    loss = report.loss;
  }
  return loss;
}

TEST(Trainer, LearnsWithEachOptimizer) {
  const std::pair<Optimizer, double> rates[] = {{Sgd{}, 0.5},
                                                {Sgd{.momentum = 0.9}, 0.1},
                                                {Sgd{.momentum = 0.9, .nesterov = true}, 0.1},
                                                {Adam{}, 0.02},
                                                {Adagrad{}, 0.1},
                                                {RmsProp{}, 0.01},
                                                {Ftrl{}, 0.1}};
  for (const auto& [optimizer, rate] : rates) {
    Trainer trainer = make_trainer(optimizer);
    EXPECT_GT(train(trainer, 1, rate), 0.8) << optimizer.index();
    EXPECT_LT(train(trainer, 400, rate), 0.15) << optimizer.index();
  }
}

TEST(Trainer, FirstAdamStepMovesEveryTouchedWeightByTheRate) {
  // With zero moments, m' / sqrt(v') is the sign of the gradient (Kingma & Ba, section 2.1).
  Trainer trainer = make_trainer(Adam{});
  const auto before = trainer.get_parameters();
  train(trainer, 1, 0.01);
  const auto after = trainer.get_parameters();
  for (std::size_t i = 0; i < before.size(); ++i) {
    const double moved = std::abs(after[i] - before[i]);
    EXPECT_TRUE(moved < 1e-7 || std::abs(moved - 0.01) < 1e-4) << i << " " << moved;
  }
}

TEST(Trainer, GivesTheSameBitsOnAnyNumberOfThreads) {
  Trainer one = make_trainer(Adam{}, 1), three = make_trainer(Adam{}, 3);
  train(one, 50, 0.01);
  train(three, 50, 0.01);
  EXPECT_EQ(one.get_parameters(), three.get_parameters());
}

TEST(Trainer, OptimisedPlanLearnsWhatTheReferenceLearns) {
  Trainer plan = make_trainer(Sgd{}), reference = make_trainer(Sgd{}, 1, true);
  train(plan, 20, 0.05);
  train(reference, 20, 0.05);
  const auto a = plan.get_parameters(), b = reference.get_parameters();
  // Twenty steps of f32 sums in another order: a few hundred units in the last place.
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-5);
}

TEST(Trainer, ParametersAreAFlatVectorThatCanBeSetBack) {
  Trainer trainer = make_trainer(Adam{});
  ASSERT_EQ(trainer.parameter_count(), 3u * 16 + 16 + 16 * 3);
  EXPECT_EQ(trainer.parameters()[2].name, "w2");
  EXPECT_EQ(trainer.parameters()[2].offset, 64u);
  const auto start = trainer.get_parameters();
  train(trainer, 5, 0.01);
  const auto first = trainer.get_parameters();
  ASSERT_TRUE(trainer.set_parameters(start));
  train(trainer, 5, 0.01);
  EXPECT_EQ(trainer.get_parameters(), first);  // moments forgotten with the weights
  EXPECT_FALSE(trainer.set_parameters(std::vector<float>(3)));
}

TEST(Trainer, ReportsALossThatIsNotFinite) {
  Trainer trainer = make_trainer(Sgd{});
  for (float& v : trainer.input("x")->span<float>()) v = INFINITY;
  EXPECT_FALSE(trainer.step(0.1).finite);
}

TEST(Trainer, RefusesToTrainWhatIsNotAVariable) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {2}});
  const auto trainer = Trainer::create(g, {.loss = sum(g, x), .train = {x}});
  ASSERT_FALSE(trainer);
  EXPECT_EQ(trainer.error().code, ErrorCode::kInvalidArgument);
}

TEST(Trainer, ARestoredStateGoesOnWithTheSameBits) {
  const Optimizer optimizers[] = {Sgd{},
                                  Sgd{.momentum = 0.9},
                                  Sgd{.momentum = 0.9, .nesterov = true},
                                  Adam{},
                                  Adagrad{},
                                  RmsProp{},
                                  Ftrl{}};
  for (const Optimizer& optimizer : optimizers) {
    Trainer whole = make_trainer(optimizer), first = make_trainer(optimizer),
            second = make_trainer(optimizer);
    train(whole, 5, 1e-2);
    train(whole, 5, 1e-2);
    train(first, 5, 1e-2);
    ASSERT_TRUE(second.restore_state(first.save_state()));
    train(second, 5, 1e-2);
    EXPECT_EQ(second.get_parameters(), whole.get_parameters());
  }
  Trainer trainer = make_trainer(Adam{});
  EXPECT_FALSE(trainer.restore_state(std::vector<float>(3)));
}

// w . x has the gradient x, whatever w.
TEST(Trainer, ClipsTheGradientsTogether) {
  Graph g;
  const ValueId w = g.variable("w", Tensor::zeros({DType::kF32, {2}}));
  const ValueId v = g.variable("v", Tensor::zeros({DType::kF32, {1}}));
  const ValueId x = g.input("x", {DType::kF32, {2}});
  const ValueId loss = add(g, sum(g, mul(g, w, x)), sum(g, scale(g, v, 12)));
  auto trainer = Trainer::create(
      std::move(g), {.loss = loss, .train = {w, v}, .optimizer = Sgd{}, .clip_norm = 1});
  ASSERT_TRUE(trainer) << trainer.error().message;
  const auto input = trainer->input("x")->span<float>();
  input[0] = 3;
  input[1] = 4;
  trainer->step(1);  // the gradient is (3, 4, 12), of length 13
  const auto values = trainer->get_parameters();
  EXPECT_NEAR(values[0], -3.0 / 13, 1e-6);
  EXPECT_NEAR(values[1], -4.0 / 13, 1e-6);
  EXPECT_NEAR(values[2], -12.0 / 13, 1e-6);
}

// w . x has the gradient x, whatever w; so after a step of rate one w is -x, clipped.
TEST(Trainer, ClipsEachElementOfTheGradients) {
  Graph g;
  const ValueId w = g.variable("w", Tensor::zeros({DType::kF32, {3}}));
  const ValueId x = g.input("x", {DType::kF32, {3}});
  const ValueId loss = sum(g, mul(g, w, x));
  auto trainer = Trainer::create(std::move(g),
                                 {.loss = loss, .train = {w}, .optimizer = Sgd{}, .clip_value = 2});
  ASSERT_TRUE(trainer) << trainer.error().message;
  const auto input = trainer->input("x")->span<float>();
  input[0] = 3;
  input[1] = -5;
  input[2] = 1;
  trainer->step(1);
  EXPECT_EQ(trainer->get_parameters(), (std::vector<float>{-2, 2, -1}));
}

// The weight goes down by one a step.
TEST(Trainer, KeepsARunningMeanOfTheWeights) {
  Graph g;
  const ValueId w = g.variable("w", Tensor::from<float>({1}, {0}));
  const ValueId loss = sum(g, w);
  auto trainer = Trainer::create(std::move(g),
                                 {.loss = loss, .train = {w}, .optimizer = Sgd{}, .average = 0.5});
  ASSERT_TRUE(trainer) << trainer.error().message;
  double mean = 0;
  for (int step = 1; step <= 12; ++step) {
    trainer->step(1);
    const double keep = std::min(0.5, (1.0 + step) / (10.0 + step));
    mean = keep * mean + (1 - keep) * -step;
    EXPECT_NEAR(trainer->get_averages()[0], mean, 1e-5);
    EXPECT_EQ(trainer->get_parameters()[0], -step);
  }
  ASSERT_TRUE(trainer->set_parameters(std::vector<float>{7}));
  EXPECT_EQ(trainer->get_averages()[0], 7);  // begins anew
  Trainer plain = make_trainer(Sgd{});
  EXPECT_EQ(plain.get_averages(), plain.get_parameters());
  Graph wrong;
  const ValueId v = wrong.variable("v", Tensor::zeros({DType::kF32, {1}}));
  EXPECT_FALSE(Trainer::create(wrong, {.loss = v, .train = {v}, .average = 1}));
}

}  // namespace
}  // namespace inkling
