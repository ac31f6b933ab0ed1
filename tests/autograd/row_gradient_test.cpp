// Tables of which few rows are read: the steps of the whole table, or the lazy rule, at the cost of
// the rows.

#include "autograd/row_gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <ctime>

#include "autograd/initial_values.h"
#include "autograd/losses.h"
#include "autograd/trainer.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"
#include "tests/runtime/allocations.h"

namespace inkling {
namespace {

constexpr std::int64_t kBatch = 100, kHistory = 10;

struct Interest {
  std::int64_t items = 1000, width = 8;
  Optimizer optimizer = Sgd{};
  bool dense = false, lazy = false, history_only = false;
  std::size_t pieces = 1;
  unsigned threads = 1;
};

// Deep interest, without its attention: is the item one for a person who liked these?
Trainer make_trainer(const Interest& how, double clip_norm = 0) {
  const std::int64_t rows = kBatch / static_cast<std::int64_t>(how.pieces);
  Graph g;
  const ValueId table = g.variable("table", he_normal({how.items, how.width}, 1, "table"));
  const ValueId w = g.variable("w", he_normal({how.width, how.width}, 1, "w"));
  const ValueId item = g.input("item", {DType::kI32, {rows}});
  const ValueId history = g.input("history", {DType::kI64, {rows, kHistory}});
  const ValueId answer = g.input("answer", {DType::kF32, {rows, 1}});
  // Reading through a node hides that only rows are read.
  const ValueId read = how.dense ? scale(g, table, 1) : table;
  const std::vector<std::int64_t> axes = {1};
  const ValueId taste =
      reshape(g, mean_axes(g, gather(g, read, history, 0), axes), {rows, how.width});
  const ValueId wanted = matmul(g, taste, w);
  const ValueId fit = mul(g, wanted, how.history_only ? wanted : gather(g, read, item, 0));
  const ValueId loss = sigmoid_cross_entropy(g, sum_to(g, fit, {rows, 1}), answer);
  auto trainer = Trainer::create(std::move(g), {.loss = loss,
                                                .train = {table, w},
                                                .optimizer = how.optimizer,
                                                .clip_norm = clip_norm,
                                                .lazy_rows = how.lazy,
                                                .pieces = how.pieces,
                                                .plan = {.threads = how.threads}});
  EXPECT_TRUE(trainer) << trainer.error().message;
  return std::move(*trainer);
}

// Items from either end, some that are not there, many more than once.
void fill(Trainer& trainer, std::int64_t items, Rng& rng) {
  const auto draw = [&] {
    return static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(2 * items + 2))) - items;
  };
  for (auto& i : trainer.input("item")->span<std::int32_t>()) i = static_cast<std::int32_t>(draw());
  for (auto& i : trainer.input("history")->span<std::int64_t>()) i = draw();
  for (float& v : trainer.input("answer")->span<float>()) v = static_cast<float>(rng.below(2));
}

std::vector<float> trained(Trainer& trainer, std::int64_t items, int steps = 10) {
  Rng rng(4, "data");
  for (int step = 0; step < steps; ++step) {
    fill(trainer, items, rng);
    EXPECT_TRUE(trainer.step(0.1).finite);
  }
  return trainer.get_parameters();
}

TEST(RowGradient, HasTheBitsOfTheWholeTable) {
  for (const Optimizer& optimizer : {Optimizer(Sgd{}), Optimizer(Adagrad{})}) {
    Interest how{.items = 10'000, .optimizer = optimizer, .history_only = true};
    Trainer rows = make_trainer(how);
    how.threads = 2;
    Trainer two = make_trainer(how);
    how.dense = true;
    Trainer dense = make_trainer(how);
    EXPECT_LT(rows.memory_bytes(), dense.memory_bytes());
    const auto expected = trained(dense, how.items);
    EXPECT_EQ(trained(rows, how.items), expected) << optimizer.index();
    EXPECT_EQ(trained(two, how.items), expected) << optimizer.index();
  }
}

// Sums of two readings are added up in another order.
TEST(RowGradient, OfATableThatIsReadTwiceIsItsGradientToRounding) {
  Interest how{.items = 10'000};
  Trainer rows = make_trainer(how);
  how.dense = true;
  Trainer dense = make_trainer(how);
  const auto a = trained(rows, how.items), b = trained(dense, how.items);
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-6);
}

TEST(RowGradient, IsClippedAsTheWholeTable) {
  Trainer rows = make_trainer({.items = 2000}, 0.01);
  Trainer dense = make_trainer({.items = 2000, .dense = true}, 0.01);
  const auto a = trained(rows, 2000), b = trained(dense, 2000);
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-6);
}

TEST(RowGradient, MayComeInPieces) {
  Trainer whole = make_trainer({.items = 2000});
  Trainer pieces = make_trainer({.items = 2000, .pieces = 4});
  const auto a = trained(whole, 2000), b = trained(pieces, 2000);
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5);
}

// Moments and decay would move rows that were not read; so the whole table is stepped unless asked.
TEST(RowGradient, IsNotUsedWhereItWouldChangeTheSteps) {
  for (const Optimizer& optimizer : {Optimizer(Sgd{.momentum = 0.9}), Optimizer(Adam{}),
                                     Optimizer(Sgd{.weight_decay = 0.1}), Optimizer(RmsProp{})}) {
    Trainer rows = make_trainer({.items = 2000, .optimizer = optimizer});
    Trainer dense = make_trainer({.items = 2000, .optimizer = optimizer, .dense = true});
    EXPECT_EQ(trained(rows, 2000), trained(dense, 2000)) << optimizer.index();
  }
}

// Row 0 is read at every step, row 1 at the third, row 2 never; the gradient of a row is ones.
TEST(RowGradient, LazyMomentsWaitUntilTheirRowIsRead) {
  const Adam adam{.weight_decay = 0.1};
  Graph g;
  const ValueId table = g.variable("table", Tensor::from<float>({3, 1}, {1, 1, 1}));
  const ValueId rows = g.input("rows", {DType::kI64, {2}});
  const ValueId loss = sum(g, gather(g, table, rows, 0));
  auto trainer = Trainer::create(
      std::move(g), {.loss = loss, .train = {table}, .optimizer = adam, .lazy_rows = true});
  ASSERT_TRUE(trainer) << trainer.error().message;
  double expected[] = {1, 1, 1}, m[] = {0, 0, 0}, v[] = {0, 0, 0};
  for (int step = 1; step <= 4; ++step) {
    const auto indices = trainer->input("rows")->span<std::int64_t>();
    indices[0] = 0;
    indices[1] = step == 3 ? 1 : 99;  // 99 names no row
    trainer->step(0.1);
    for (const std::size_t row : {0u, 1u}) {
      if (row == 1 && step != 3) continue;
      m[row] = adam.beta1 * m[row] + (1 - adam.beta1);
      v[row] = adam.beta2 * v[row] + (1 - adam.beta2);
      const double first = m[row] / (1 - std::pow(adam.beta1, step));
      const double second = v[row] / (1 - std::pow(adam.beta2, step));
      expected[row] -=
          0.1 * (first / (std::sqrt(second) + adam.epsilon) + adam.weight_decay * expected[row]);
    }
    for (std::size_t row = 0; row < 3; ++row)
      EXPECT_NEAR(trainer->get_parameters()[row], expected[row], 1e-5) << step << " " << row;
  }
}

TEST(RowGradient, GoesOnFromASavedStateWithTheSameBitsAndAllocatesNothing) {
  for (const Optimizer& optimizer :
       {Optimizer(Sgd{.momentum = 0.9}), Optimizer(Adam{}), Optimizer(Ftrl{.l1 = 0.01})}) {
    const Interest how{.optimizer = optimizer, .lazy = true};
    Trainer whole = make_trainer(how), broken = make_trainer(how);
    trained(whole, how.items, 5);
    ASSERT_TRUE(broken.restore_state(whole.save_state()));
    EXPECT_EQ(trained(whole, how.items, 5), trained(broken, how.items, 5));
    const std::size_t before = test::allocations();
    for (int step = 0; step < 10; ++step) whole.step(0.1);
    EXPECT_EQ(test::allocations(), before);
  }
}

double cpu_seconds(Trainer& trainer, std::int64_t items, int steps) {
  Rng rng(4, "data");
  fill(trainer, items, rng);
  trainer.step(0.1);
  const std::clock_t start = std::clock();
  for (int step = 0; step < steps; ++step) trainer.step(0.1);
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / steps;
}

// 100,000 items of 64 numbers, of which a batch of 100 people names up to 1,100.
TEST(RowGradient, OfABigTableCostsItsRows) {
  Interest how{.items = 100'000, .width = 64, .optimizer = Adagrad{}};
  Trainer rows = make_trainer(how);
  how.optimizer = Adagrad{.weight_decay = 1e-30};  // as good as none, but the table must be stepped
  Trainer dense = make_trainer(how);
  const std::size_t table = 100'000 * 64 * sizeof(float);
  EXPECT_LT(rows.memory_bytes(), 2 * table + table / 10);  // weights and squares
  EXPECT_GT(dense.memory_bytes(), 3 * table);
  EXPECT_LT(10 * cpu_seconds(rows, how.items, 20), cpu_seconds(dense, how.items, 5));
}

}  // namespace
}  // namespace inkling
