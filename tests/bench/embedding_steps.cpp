// embedding_steps [ITEMS] [WIDTH]: training steps of a recommender whose table has many rows and
// whose batch reads few, with the rows alone and with the whole table. Beside torch_embedding.py,
// which runs it. Prints the CPU milliseconds of a step, a median, and the trainer's memory.

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <iostream>

#include "autograd/initial_values.h"
#include "autograd/losses.h"
#include "autograd/trainer.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"

namespace {

using namespace inkling;

constexpr std::int64_t kBatch = 100, kHistory = 10;

// Is the item one for a person who liked these? The mean of their rows, projected, times the
// item's.
Result<Trainer> make_trainer(std::int64_t items, std::int64_t width, const Optimizer& optimizer,
                             bool lazy) {
  Graph g;
  const ValueId table = g.variable("table", he_normal({items, width}, 1, "table"));
  const ValueId w = g.variable("w", he_normal({width, width}, 1, "w"));
  const ValueId item = g.input("item", {DType::kI64, {kBatch}});
  const ValueId history = g.input("history", {DType::kI64, {kBatch, kHistory}});
  const ValueId answer = g.input("answer", {DType::kF32, {kBatch, 1}});
  const std::vector<std::int64_t> axes = {1};
  const ValueId taste =
      reshape(g, mean_axes(g, gather(g, table, history, 0), axes), {kBatch, width});
  const ValueId fit = mul(g, matmul(g, taste, w), gather(g, table, item, 0));
  const ValueId loss = sigmoid_cross_entropy(g, sum_to(g, fit, {kBatch, 1}), answer);
  return Trainer::create(
      std::move(g), {.loss = loss, .train = {table, w}, .optimizer = optimizer, .lazy_rows = lazy});
}

Result<double> step_ms(Trainer& trainer, std::int64_t items, int steps) {
  INK_TRY(const TensorView item, trainer.input("item"));
  INK_TRY(const TensorView history, trainer.input("history"));
  INK_TRY(const TensorView answer, trainer.input("answer"));
  Rng rng(1, "data");
  const auto draw = [&] {
    return static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(items)));
  };
  std::vector<double> times;
  for (int step = 0; step < steps; ++step) {
    for (std::int64_t& i : item.span<std::int64_t>()) i = draw();
    for (std::int64_t& i : history.span<std::int64_t>()) i = draw();
    for (float& v : answer.span<float>()) v = static_cast<float>(rng.below(2));
    const std::clock_t start = std::clock();
    trainer.step(0.01);
    times.push_back(static_cast<double>(std::clock() - start) * 1000.0 / CLOCKS_PER_SEC);
  }
  std::nth_element(times.begin(), times.begin() + steps / 2, times.end());
  return times[static_cast<std::size_t>(steps) / 2];
}

Result<void> measure(std::int64_t items, std::int64_t width) {
  // With a decay, however small, the whole table must be stepped.
  constexpr double kDecay = 1e-30;
  const std::pair<const char*, Optimizer> optimizers[] = {
      {"sgd", Sgd{.weight_decay = kDecay}},
      {"adagrad", Adagrad{.weight_decay = kDecay}},
      {"adam", Adam{.weight_decay = kDecay}}};
  for (const auto& [name, optimizer] : optimizers) {
    for (const bool rows : {true, false}) {
      INK_TRY(Trainer trainer, make_trainer(items, width, optimizer, rows));
      INK_TRY(const double ms, step_ms(trainer, items, rows ? 201 : 11));
      std::cout << name << (rows ? " rows " : " whole ") << ms << " ms "
                << trainer.memory_bytes() / 1'000'000 << " MB\n";
    }
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const auto size = [&](int i, long fallback) { return argc > i ? std::atol(argv[i]) : fallback; };
  const Result<void> done = measure(size(1, 100'000), size(2, 64));
  if (!done) std::cerr << done.error().message << "\n";
  return done ? 0 : 1;
}
