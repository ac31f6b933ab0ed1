// Several ranks of one simulation, as threads.

#include "server-sim/simulation/ranks.h"

#include <gtest/gtest.h>

#include <barrier>
#include <thread>

#include "tests/simulation/synthetic.h"

namespace inkling {
namespace {

struct Table {
  explicit Table(std::ptrdiff_t ranks) : all(ranks) {}
  std::barrier<> all;
  std::mutex mutex;
  std::vector<std::uint64_t> sum;
};

class ThreadRanks final : public Ranks {
 public:
  ThreadRanks(Table& table, std::size_t rank, std::size_t count)
      : table_(table), rank_(rank), count_(count) {}
  std::size_t rank() const override { return rank_; }
  std::size_t count() const override { return count_; }
  Result<void> add_up(std::span<std::uint64_t> values) override {
    if (rank_ == 0) table_.sum.assign(values.size(), 0);
    table_.all.arrive_and_wait();
    {
      const std::lock_guard lock(table_.mutex);
      for (std::size_t i = 0; i < values.size(); ++i) table_.sum[i] += values[i];
    }
    table_.all.arrive_and_wait();
    std::copy(table_.sum.begin(), table_.sum.end(), values.begin());
    table_.all.arrive_and_wait();
    return {};
  }

 private:
  Table& table_;
  std::size_t rank_, count_;
};

struct Played {
  Sha256Digest model{};
  double loss = 0;
  std::size_t examples = 0;
  bool operator==(const Played&) const = default;
};

Played play(const SmallWorld& world, Ranks* ranks) {
  Simulation simulation = Simulation::create(world.spec, world.data(), ranks).value();
  const RoundRecord last = play_all(simulation, world.spec.rounds).back();
  return {simulation.model_digest(), last.loss, last.examples};
}

std::vector<Played> play_on(const SmallWorld& world, std::size_t count) {
  Table table(static_cast<std::ptrdiff_t>(count));
  std::vector<Played> played(count);
  std::vector<std::jthread> threads;
  for (std::size_t rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadRanks ranks(table, rank, count);
      played[rank] = play(world, &ranks);
    });
  }
  threads.clear();
  return played;
}

TEST(Ranks, EachHasTheModelOfAProcessThatPlaysAlone) {
  for (const bool masked : {false, true}) {
    SmallWorld world;
    world.spec.rounds = 3;
    world.spec.groups = {.masked = masked, .size = 4};
    const Played alone = play(world, nullptr);
    for (const std::size_t count : {1u, 2u, 4u}) {
      for (const Played& played : play_on(world, count))
        EXPECT_EQ(played, alone) << count << masked;
    }
  }
}

TEST(Ranks, AnAlgorithmWhoseClientsRememberIsRefused) {
  SmallWorld world;
  world.spec.algorithm.name = "scaffold";
  Table table(1);
  ThreadRanks alone(table, 0, 1), one_of_two(table, 0, 2);
  EXPECT_TRUE(Simulation::create(world.spec, world.data(), &alone));
  const auto refused = Simulation::create(world.spec, world.data(), &one_of_two);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace inkling
