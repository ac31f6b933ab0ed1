// A batch in pieces: the same steps to rounding, in less memory.

#include "autograd/micro_batches.h"

#include <gtest/gtest.h>

#include "autograd/initial_values.h"
#include "autograd/losses.h"
#include "autograd/trainer.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"

namespace inkling {
namespace {

constexpr std::int64_t kBatch = 32;

// A small convolutional network on a batch of 32, worked through in pieces.
Trainer make_trainer(std::size_t pieces, std::size_t budget = 0, unsigned threads = 1) {
  const std::int64_t rows = kBatch / static_cast<std::int64_t>(pieces);
  Graph g;
  std::vector<ValueId> train;
  const auto variable = [&](const char* name, const Shape& shape) {
    train.push_back(g.variable(name, he_normal(shape, 1, name)));
    return train.back();
  };
  ValueId x = g.input("x", {DType::kF32, {rows, 12, 12, 4}});
  const ValueId targets = g.input("targets", {DType::kF32, {rows, 3}});
  for (const char* name : {"a", "b", "c", "d"})
    x = tanh(g, relu(g, conv2d(g, x, variable(name, {3, 3, 4, 4}), {.pads = {1, 1, 1, 1}})));
  const std::vector<std::int64_t> axes = {1, 2};
  const ValueId features = reshape(g, mean_axes(g, x, axes), {rows, 4});
  const ValueId logits = matmul(g, features, variable("dense", {4, 3}));
  g.output("logits", logits);
  const ValueId loss = softmax_cross_entropy(g, logits, targets);
  auto trainer = Trainer::create(std::move(g), {.loss = loss,
                                                .train = train,
                                                .optimizer = Sgd{.momentum = 0.9},
                                                .clip_norm = 1,
                                                .average = 0.9,
                                                .pieces = pieces,
                                                .memory_budget_bytes = budget,
                                                .plan = {.threads = threads}});
  EXPECT_TRUE(trainer) << trainer.error().message;
  return std::move(*trainer);
}

std::vector<double> losses_of(Trainer& trainer) {
  Rng rng(2, "data");
  std::vector<double> losses;
  for (int step = 0; step < 10; ++step) {
    for (float& v : trainer.input("x")->span<float>()) v = static_cast<float>(rng.normal());
    const auto targets = trainer.input("targets")->span<float>();
    std::fill(targets.begin(), targets.end(), 0.0f);
    for (std::size_t row = 0; row < kBatch; ++row) targets[row * 3 + rng.below(3)] = 1.0f;
    losses.push_back(trainer.step(0.1).loss);
  }
  return losses;
}

TEST(MicroBatches, TakeTheStepsOfTheWholeBatch) {
  Trainer whole = make_trainer(1);
  const auto expected = losses_of(whole);
  const auto parameters = whole.get_parameters(), averages = whole.get_averages();
  for (const std::size_t pieces : {2u, 4u, 8u, 32u}) {
    Trainer trainer = make_trainer(pieces);
    EXPECT_EQ(trainer.input("x")->shape(), (Shape{kBatch, 12, 12, 4}));
    const auto losses = losses_of(trainer);
    // Sums of f32 in another order.
    for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], expected[i], 1e-5);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_NEAR(trainer.get_parameters()[i], parameters[i], 1e-5) << pieces;
      EXPECT_NEAR(trainer.get_averages()[i], averages[i], 1e-5) << pieces;
    }
    for (std::size_t i = 0; i < kBatch * 3; ++i) {
      EXPECT_NEAR(trainer.output("logits")->as<float>()[i], whole.output("logits")->as<float>()[i],
                  1e-5);
    }
  }
}

TEST(MicroBatches, TakeLessMemory) {
  const std::size_t whole = make_trainer(1).memory_bytes(), four = make_trainer(4).memory_bytes();
  // The inputs stay whole: 32 x 12 x 12 x 4 floats.
  const std::size_t inputs = kBatch * 12 * 12 * 4 * sizeof(float);
  EXPECT_LT(four - inputs, (whole - inputs) / 2);
}

TEST(MicroBatches, HaveTheSameBitsWithRecomputationAndOnAnyNumberOfThreads) {
  Trainer free = make_trainer(4), threads = make_trainer(4, 0, 2);
  const std::size_t budget = free.memory_bytes() * 9 / 10;
  Trainer tight = make_trainer(4, budget);
  EXPECT_GT(tight.segments(), 1u);
  EXPECT_LE(tight.memory_bytes(), budget);
  const auto expected = losses_of(free);
  EXPECT_EQ(losses_of(threads), expected);
  EXPECT_EQ(losses_of(tight), expected);
  EXPECT_EQ(threads.save_state(), free.save_state());
  EXPECT_EQ(tight.save_state(), free.save_state());
}

TEST(MicroBatches, RefuseWhatCannotBeCut) {
  Graph g;
  const ValueId w = g.variable("w", Tensor::zeros({DType::kF32, {2}}));
  const ValueId x = g.input("x", {DType::kF32, {2}});
  g.output("y", mul(g, w, x));
  const std::vector<TakenOutput> none = {}, missing = {{"z", true}};
  EXPECT_FALSE(in_pieces(g, 0, none));
  EXPECT_FALSE(in_pieces(g, 2, missing));
  EXPECT_TRUE(in_pieces(g, 2, none));
  g.update(w, add(g, w, x));
  EXPECT_TRUE(in_pieces(g, 1, none));
  const auto refused = in_pieces(g, 2, none);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling
