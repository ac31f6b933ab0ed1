// Training within a memory budget: the same bits in less memory.

#include "autograd/recompute.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/initial_values.h"
#include "autograd/losses.h"
#include "autograd/trainer.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"

namespace inkling {
namespace {

constexpr int kBlocks = 8;

// Residual blocks of a convolution with a bounded and a smooth activation, which keeps its input.
Result<Trainer> make_trainer(std::size_t budget, unsigned threads = 1) {
  Graph g;
  std::vector<ValueId> train;
  const auto variable = [&](const std::string& name, const Shape& shape) {
    train.push_back(g.variable(name, he_normal(shape, 1, name)));
    return train.back();
  };
  ValueId x = g.input("x", {DType::kF32, {4, 24, 24, 8}});
  const ValueId targets = g.input("targets", {DType::kF32, {4, 8}});
  for (int block = 0; block < kBlocks; ++block) {
    const ValueId y =
        conv2d(g, x, variable(concat("conv", block), {3, 3, 8, 8}), {.pads = {1, 1, 1, 1}});
    x = add(g, x, tanh(g, relu(g, add(g, y, variable(concat("bias", block), {8})))));
  }
  const std::vector<std::int64_t> axes = {1, 2};
  const ValueId pooled = reshape(g, mean_axes(g, x, axes), {4, 8});
  const ValueId loss = softmax_cross_entropy(g, pooled, targets);
  return Trainer::create(std::move(g), {.loss = loss,
                                        .train = train,
                                        .optimizer = Adam{},
                                        .memory_budget_bytes = budget,
                                        .plan = {.threads = threads}});
}

std::vector<double> losses_of(Trainer& trainer, int steps) {
  Rng rng(2, "data");
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) {
    for (float& v : trainer.input("x")->span<float>()) v = static_cast<float>(rng.normal());
    const auto targets = trainer.input("targets")->span<float>();
    std::fill(targets.begin(), targets.end(), 0.0f);
    for (std::size_t row = 0; row < 4; ++row) targets[row * 8 + (row + 3) % 8] = 1.0f;
    losses.push_back(trainer.step(0.01).loss);
  }
  return losses;
}

TEST(Recompute, TrainsToTheSameBitsWithinEveryBudgetThatItAccepts) {
  auto free = make_trainer(0);
  ASSERT_TRUE(free);
  EXPECT_EQ(free->segments(), 1u);
  const auto expected = losses_of(*free, 4);
  const auto parameters = free->get_parameters();
  std::size_t accepted = 0;
  for (const double share : {1.0, 0.9, 0.8, 0.7, 0.6, 0.5}) {
    const auto budget = static_cast<std::size_t>(share * static_cast<double>(free->memory_bytes()));
    for (const unsigned threads : {1u, 2u}) {
      auto tight = make_trainer(budget, threads);
      if (!tight) {
        EXPECT_EQ(tight.error().code, ErrorCode::kResourceLimit);
        continue;
      }
      ++accepted;
      EXPECT_LE(tight->memory_bytes(), budget);
      EXPECT_EQ(tight->segments() == 1, share == 1.0) << share;
      EXPECT_EQ(losses_of(*tight, 4), expected) << share;
      EXPECT_EQ(tight->get_parameters(), parameters) << share;
    }
  }
  EXPECT_GE(accepted, 8u);
}

TEST(Recompute, RefusesWhatNoRecomputationFitsAndSaysWhatItWouldTake) {
  const auto tight = make_trainer(100'000);
  ASSERT_FALSE(tight);
  EXPECT_EQ(tight.error().code, ErrorCode::kResourceLimit);
  EXPECT_NE(tight.error().message.find("100000"), std::string::npos) << tight.error().message;
}

TEST(Recompute, AsksForALossThatIsComputed) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, Shape{}});
  g.output("loss", x);
  EXPECT_EQ(recompute(g, x, 2).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling
