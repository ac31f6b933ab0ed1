#include "autograd/example_memory.h"

#include <gtest/gtest.h>

#include <array>

namespace inkling {
namespace {

void add(ExampleMemory& memory, float value, std::uint32_t label) {
  memory.add(std::array{value, -value}, label);
}

std::vector<std::size_t> kept_by_class(const ExampleMemory& memory, std::size_t classes) {
  std::vector<std::size_t> kept(classes);
  for (std::size_t i = 0; i < memory.count(); ++i) ++kept[memory.label(i)];
  return kept;
}

TEST(ExampleMemory, KeepsEverythingUntilItIsFull) {
  ExampleMemory memory(4, 2, 2, 1);
  for (int i = 0; i < 4; ++i) add(memory, static_cast<float>(i), i % 2 == 0 ? 0 : 1);
  ASSERT_EQ(memory.count(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(memory.example(i)[0], static_cast<float>(i));
    EXPECT_EQ(memory.example(i)[1], -static_cast<float>(i));
    EXPECT_EQ(memory.label(i), i % 2);
  }
}

TEST(ExampleMemory, NeverGrows) {
  ExampleMemory memory(4, 2, 2, 1);
  const std::size_t bytes = memory.bytes();
  const float* const first = memory.example(0).data();
  for (int i = 0; i < 10'000; ++i) add(memory, static_cast<float>(i), 1);
  EXPECT_EQ(memory.count(), 4u);
  EXPECT_EQ(memory.seen(), 10'000u);
  EXPECT_EQ(memory.bytes(), bytes);
  EXPECT_EQ(memory.example(0).data(), first);
}

TEST(ExampleMemory, KeepsARareClassInAStreamOfAnother) {
  ExampleMemory memory(30, 2, 3, 1);
  for (int i = 0; i < 3000; ++i) add(memory, 1, i < 1500 ? 0 : (i % 100 == 0 ? 2 : 1));
  EXPECT_EQ(kept_by_class(memory, 3), (std::vector<std::size_t>{10, 10, 10}));
}

TEST(ExampleMemory, KeepsAUniformSampleOfEachClass) {
  // 400 streams of 40 examples into room for 10: each is kept with probability 1/4.
  std::array<int, 40> kept{};
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    ExampleMemory memory(10, 2, 1, seed);
    for (int i = 0; i < 40; ++i) add(memory, static_cast<float>(i), 0);
    for (std::size_t i = 0; i < memory.count(); ++i)
      ++kept[static_cast<std::size_t>(memory.example(i)[0])];
  }
  // Standard deviation sqrt(400 / 4 * 3 / 4) = 8.7; 4.6 of them, for 40 looks.
  for (const int count : kept) EXPECT_NEAR(count, 100, 40);
}

TEST(ExampleMemory, RepeatsItselfWithItsSeed) {
  const auto kept = [](std::uint64_t seed) {
    ExampleMemory memory(8, 2, 2, seed);
    for (int i = 0; i < 200; ++i) add(memory, static_cast<float>(i), i % 3 == 0);
    std::vector<float> values;
    for (std::size_t i = 0; i < memory.count(); ++i) values.push_back(memory.example(i)[0]);
    return values;
  };
  EXPECT_EQ(kept(1), kept(1));
  EXPECT_NE(kept(1), kept(2));
}

TEST(ExampleMemory, ForgetsWhenCleared) {
  ExampleMemory memory(4, 2, 2, 1);
  for (int i = 0; i < 9; ++i) add(memory, 5, 1);
  memory.clear();
  EXPECT_EQ(memory.count(), 0u);
  EXPECT_EQ(memory.seen(), 0u);
  EXPECT_EQ(memory.example(0)[0], 0.0f);  // wiped, not only forgotten
}

}  // namespace
}  // namespace inkling
