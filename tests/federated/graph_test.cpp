#include "federated/secagg/graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/federated/golden.h"

namespace inkling::secagg {
namespace {

std::uint32_t ppm(double fraction) {
  return static_cast<std::uint32_t>(std::lround(fraction * 1e6));
}

void expect_shape(std::uint32_t n, double gamma, double delta, bool malicious,
                  GraphShape expected) {
  const auto shape = sparse_graph_shape(n, ppm(gamma), ppm(delta), malicious);
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->degree, expected.degree) << n << " " << gamma << " " << delta;
  EXPECT_EQ(shape->threshold, expected.threshold) << n << " " << gamma << " " << delta;
}

TEST(Graph, DegreesAndThresholdsEqualTheGoldens) {
  for (const std::string& key : golden_keys("/graph")) {
    const std::string row = "/graph/" + key + "/";
    for (const auto& [name, malicious] :
         {std::pair("semi_honest", false), std::pair("semi_malicious", true)}) {
      const auto shape = golden_integers(row + name);
      expect_shape(std::uint32_t(golden_integer(row + "n")), golden_number(row + "gamma"),
                   golden_number(row + "delta"), malicious,
                   {.degree = std::uint32_t(shape[0]), .threshold = std::uint32_t(shape[1])});
    }
  }
  expect_shape(1000, .3, .3, false, {.degree = 218, .threshold = 116});
  expect_shape(1000, .33, .33, false, {.degree = 286, .threshold = 150});
  expect_shape(1000, .1, .3, true, {.degree = 414, .threshold = 247});
}

TEST(Graph, SmallCohortsUseEveryPair) {
  Config config;
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> thresholds = {
      {2, 2}, {3, 3}, {4, 3}, {5, 4}, {6, 5}, {9, 7}, {128, 86}};
  for (const auto& [n, t] : thresholds) {
    const auto shape = graph_shape(n, config);
    ASSERT_TRUE(shape);
    EXPECT_EQ(shape->degree, n - 1);
    EXPECT_EQ(shape->threshold, t) << n;
  }
  EXPECT_LT(graph_shape(129, config)->degree, 128u);
  config.gamma_ppm = ppm(.9);
  EXPECT_FALSE(graph_shape(10, config));
  EXPECT_FALSE(graph_shape(1, config));
}

TEST(Graph, LinksAreMutualRegularAndComplete) {
  const Hash hash = hash_of({as_bytes("roster")});
  for (const auto& [n, degree] : {std::pair(20u, 6u), std::pair(21u, 20u), std::pair(150u, 40u)}) {
    const Graph graph(n, {.degree = degree, .threshold = 2}, hash);
    std::set<std::uint32_t> ring(graph.ring().begin(), graph.ring().end());
    EXPECT_EQ(ring.size(), n);
    for (std::uint32_t u = 0; u < n; ++u) {
      const auto neighbours = graph.neighbours(u);
      EXPECT_EQ(neighbours.size(), degree);
      EXPECT_TRUE(std::is_sorted(neighbours.begin(), neighbours.end()));
      EXPECT_EQ(std::count(neighbours.begin(), neighbours.end(), u), 0);
      for (const std::uint32_t v : neighbours) {
        const auto back = graph.neighbours(v);
        EXPECT_TRUE(std::binary_search(back.begin(), back.end(), u));
      }
      const auto holders = graph.holders(u);
      for (std::uint32_t i = 0; i < holders.size(); ++i) {
        EXPECT_EQ(graph.holder_position(u, holders[i]), i);
      }
    }
  }
  EXPECT_FALSE(Graph(20, {.degree = 2, .threshold = 2}, hash).holder_position(0, 20));
}

// Pins the ring order: both sides of a round, of any version, must draw the same one.
TEST(Graph, RingOrderIsFrozen) {
  const Graph graph(10, {.degree = 4, .threshold = 3}, hash_of({as_bytes("roster")}));
  std::string order;
  for (const std::uint32_t client : graph.ring()) order += std::to_string(client);
  EXPECT_EQ(order, "7168234590");
  EXPECT_FALSE(std::equal(graph.ring().begin(), graph.ring().end(),
                          Graph(10, {.degree = 4, .threshold = 3}, Hash{}).ring().begin()));
}

}  // namespace
}  // namespace inkling::secagg
