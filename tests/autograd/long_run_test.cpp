// Ten thousand steps: nothing is allocated after the first, and the bits are those of another
// number of threads and of a run that was broken off and taken up.

#include <gtest/gtest.h>

#include "autograd/initial_values.h"
#include "autograd/losses.h"
#include "autograd/trainer.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"
#include "tests/runtime/allocations.h"

namespace inkling {
namespace {

constexpr int kSteps = 10'000, kBreak = 6'000;
constexpr std::int64_t kBatch = 8, kSide = 8, kClasses = 4;

Trainer make_trainer(unsigned threads) {
  Graph g;
  std::vector<ValueId> train;
  const auto variable = [&](const char* name, const Shape& shape) {
    train.push_back(g.variable(name, he_normal(shape, 1, name)));
    return train.back();
  };
  const ValueId x = g.input("x", {DType::kF32, {kBatch, kSide, kSide, 3}});
  const ValueId targets = g.input("targets", {DType::kF32, {kBatch, kClasses}});
  const ValueId y =
      relu(g, add(g, conv2d(g, x, variable("conv", {3, 3, 3, 8}), {.pads = {1, 1, 1, 1}}),
                  variable("bias", {8})));
  const ValueId pooled = reshape(g, max_pool(g, y, {2, 2}, {.strides = {2, 2}}), {kBatch, 128});
  const ValueId loss =
      softmax_cross_entropy(g, matmul(g, pooled, variable("dense", {128, kClasses})), targets);
  auto trainer = Trainer::create(std::move(g), {.loss = loss,
                                                .train = train,
                                                .optimizer = Adam{},
                                                .clip_norm = 1,
                                                .plan = {.threads = threads}});
  EXPECT_TRUE(trainer) << trainer.error().message;
  return std::move(*trainer);
}

// The step's own batch, so that a run may begin anywhere.
void step(Trainer& trainer, int number, const TensorView& x, const TensorView& targets) {
  Rng rng(3, "data", static_cast<std::uint64_t>(number));
  for (float& v : x.span<float>()) v = static_cast<float>(rng.uniform() - 0.5);
  for (float& v : targets.span<float>()) v = 0.0f;
  for (std::int64_t row = 0; row < kBatch; ++row)
    targets.as<float>()[row * kClasses + static_cast<std::int64_t>(rng.below(kClasses))] = 1.0f;
  ASSERT_TRUE(trainer.step(1e-3).finite);
}

void run(Trainer& trainer, int first, int last) {
  const TensorView x = trainer.input("x").value(), targets = trainer.input("targets").value();
  for (int number = first; number < last; ++number) step(trainer, number, x, targets);
}

TEST(LongRun, AllocatesNothingAfterTheFirstStep) {
  Trainer trainer = make_trainer(1);
  run(trainer, 0, 1);
  const TensorView x = trainer.input("x").value(), targets = trainer.input("targets").value();
  const std::size_t memory = trainer.memory_bytes(), before = test::allocations();
  for (int number = 1; number < kSteps; ++number) step(trainer, number, x, targets);
  EXPECT_EQ(test::allocations(), before);
  EXPECT_EQ(trainer.memory_bytes(), memory);
}

TEST(LongRun, HasTheBitsOfTwoThreadsAndOfARunThatWasTakenUp) {
  Trainer whole = make_trainer(1), two = make_trainer(2), broken = make_trainer(1);
  run(whole, 0, kSteps);
  run(two, 0, kSteps);
  run(broken, 0, kBreak);
  Trainer taken_up = make_trainer(2);
  ASSERT_TRUE(taken_up.restore_state(broken.save_state()));
  run(taken_up, kBreak, kSteps);
  EXPECT_EQ(whole.save_state(), two.save_state());
  EXPECT_EQ(whole.save_state(), taken_up.save_state());
}

}  // namespace
}  // namespace inkling
