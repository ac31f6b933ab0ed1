// What a plan promises, on real networks (tools/setup check fetches them): it allocates nothing
// while it runs, and its arena is close to the least that any layout could need.

#include <gtest/gtest.h>

#include "tests/conformance/case.h"
#include "tests/runtime/allocations.h"

namespace inkling::conformance {
namespace {

// Calls check(name, session) for each model and data set, with a session that has run once.
template <typename Check>
void for_each_plan(unsigned threads, const Check& check) {
  const Path data = RECORDED;
  const auto names = find_cases(data);
  ASSERT_TRUE(names) << names.error().message;
  EXPECT_GE(names->size(), 31u);
  for (const std::string& name : *names) {
    const auto recorded = read_case(data / name);
    ASSERT_TRUE(recorded) << recorded.error().message;
    auto network = Network::open(*recorded, {.threads = threads});
    ASSERT_TRUE(network) << network.error().message;
    for (const DataSet& set : recorded->sets) {
      ASSERT_TRUE(network->run(set)) << name;
      const auto session = network->plan(set);
      ASSERT_TRUE(session) << session.error().message;
      check(name, **session);
    }
    EXPECT_EQ(network->plans(), recorded->sets.size()) << name << ": plans are kept";
  }
}

TEST(Plan, RunsRealNetworksWithoutAllocating) {
  for (const unsigned threads : {1u, 2u}) {
    for_each_plan(threads, [](const std::string& name, Session& session) {
      const std::size_t before = test::allocations();
      session.run();
      EXPECT_EQ(test::allocations(), before) << name;
    });
  }
}

TEST(Plan, KeepsTheArenaCloseToItsLowerBound) {
  for_each_plan(1, [](const std::string& name, Session& session) {
    const auto least = static_cast<double>(session.arena_lower_bound());
    EXPECT_LE(static_cast<double>(session.arena_bytes()), 1.15 * least) << name;
  });
}

}  // namespace
}  // namespace inkling::conformance
