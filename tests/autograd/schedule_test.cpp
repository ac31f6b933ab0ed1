#include "autograd/schedule.h"

#include <gtest/gtest.h>

namespace inkling {
namespace {

TEST(Schedule, CosineFallsFromTheRateToNothing) {
  const Schedule schedule{Schedule::Shape::kCosine, 2.0};
  EXPECT_DOUBLE_EQ(rate_at(schedule, 0, 100), 2.0);
  EXPECT_NEAR(rate_at(schedule, 50, 100), 1.0, 1e-12);
  EXPECT_NEAR(rate_at(schedule, 100, 100), 0.0, 1e-12);
}

TEST(Schedule, StepDropsTwice) {
  const Schedule schedule{Schedule::Shape::kStep, 1.0};
  EXPECT_DOUBLE_EQ(rate_at(schedule, 49, 100), 1.0);
  EXPECT_DOUBLE_EQ(rate_at(schedule, 50, 100), 0.1);
  EXPECT_DOUBLE_EQ(rate_at(schedule, 75, 100), 0.01);
}

TEST(Schedule, WarmUpGrowsToTheRate) {
  const Schedule schedule{Schedule::Shape::kConstant, 1.0, 0.1};
  EXPECT_DOUBLE_EQ(rate_at(schedule, 0, 100), 0.1);
  EXPECT_DOUBLE_EQ(rate_at(schedule, 4, 100), 0.5);
  EXPECT_DOUBLE_EQ(rate_at(schedule, 9, 100), 1.0);
  EXPECT_DOUBLE_EQ(rate_at(schedule, 90, 100), 1.0);
}

TEST(Schedule, OneCyclePeaksOnce) {
  const Schedule schedule{Schedule::Shape::kOneCycle, 1.0};
  EXPECT_NEAR(rate_at(schedule, 0, 100), 0.04, 1e-12);
  EXPECT_NEAR(rate_at(schedule, 30, 100), 1.0, 1e-12);
  for (std::size_t step = 1; step < 100; ++step) {
    const bool rises = rate_at(schedule, step, 100) >= rate_at(schedule, step - 1, 100);
    EXPECT_EQ(rises, step <= 30) << step;
  }
}

TEST(Schedule, RefusesAnUnknownName) {
  EXPECT_TRUE(parse_schedule("one-cycle"));
  EXPECT_FALSE(parse_schedule("linear"));
}

}  // namespace
}  // namespace inkling
