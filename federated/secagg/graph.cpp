#include "federated/secagg/graph.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "federated/secagg/schedule.h"

namespace inkling::secagg {

namespace {

constexpr double kSecurityBits = 40;     // sigma
constexpr double kCorrectnessBits = 20;  // eta

std::uint32_t share_of(std::uint32_t ppm, std::uint32_t n) {
  return static_cast<std::uint32_t>(std::uint64_t{ppm} * n / kPpm);
}

// lgamma is not required to be reentrant; std::lgamma writes signgam. Arguments here are >= 1, so
// ln((x - 1)!) comes from one table.
std::vector<double> log_factorials(std::uint32_t n) {
  std::vector<double> table(n + 1, 0.0);
  for (std::uint32_t i = 2; i <= n; ++i) table[i] = table[i - 1] + std::log(double(i));
  return table;
}

// Hypergeometric distribution: draws from a population with marked members.
class Hypergeometric {
 public:
  Hypergeometric(const std::vector<double>& log_factorial, std::uint32_t population,
                 std::uint32_t marked, std::uint32_t draws)
      : table_(log_factorial), population_(population), marked_(marked), draws_(draws) {}

  double probability(std::uint32_t x) const {
    if (x > marked_ || x > draws_ || draws_ - x > population_ - marked_) return 0;
    return std::exp(choose(marked_, x) + choose(population_ - marked_, draws_ - x) -
                    choose(population_, draws_));
  }

  // min{x : P[X > x] <= bound}
  std::uint32_t upper_quantile(double bound) const {
    double tail = 0;
    for (std::uint32_t x = draws_; x > 0; --x) {
      tail += probability(x);
      if (tail > bound) return x;
    }
    return 0;
  }

  // max{x : P[X < x] <= bound}
  std::uint32_t lower_quantile(double bound) const {
    double tail = 0;
    for (std::uint32_t x = 0; x < draws_; ++x) {
      tail += probability(x);
      if (tail > bound) return x;
    }
    return draws_;
  }

 private:
  double choose(std::uint32_t n, std::uint32_t k) const {
    return table_[n] - table_[k] - table_[n - k];
  }
  const std::vector<double>& table_;
  std::uint32_t population_, marked_, draws_;
};

// ln of the bound on the probability that some set of clients is cut off from the rest when `bad`
// of n clients are corrupt or gone.
bool stays_connected(const std::vector<double>& log_factorial, std::uint32_t n, std::uint32_t k,
                     std::uint32_t bad) {
  if (k > bad) return true;
  const double log_probability = std::log(double(n)) + std::log(double(n - k - 1)) - std::log(2.0) +
                                 log_factorial[bad] + log_factorial[n - k] - log_factorial[n] -
                                 log_factorial[bad - k];
  return log_probability < -(kSecurityBits + 1) * std::log(2.0);
}

}  // namespace

std::optional<GraphShape> sparse_graph_shape(std::uint32_t n, std::uint32_t gamma_ppm,
                                             std::uint32_t delta_ppm, bool semi_malicious) {
  const std::uint32_t corrupt = share_of(gamma_ppm, n);
  const std::uint32_t gone = share_of(delta_ppm, n);
  const std::vector<double> table = log_factorials(n);
  for (std::uint32_t k = 2; k + 1 < n; k += 2) {
    if (!stays_connected(table, n, k, std::min(n, corrupt + gone))) continue;
    std::uint32_t too_few =
        Hypergeometric(table, n, corrupt, k).upper_quantile(std::exp2(-(kSecurityBits + 1)) / n);
    const std::uint32_t alive =
        Hypergeometric(table, n, n - gone, k).lower_quantile(std::exp2(-kCorrectnessBits) / n);
    if (semi_malicious) {
      too_few = static_cast<std::uint32_t>(std::ceil((too_few + k - 1.25) / 2));
    }
    if (alive > too_few) return GraphShape{.degree = k, .threshold = std::max(too_few + 1, 2u)};
  }
  return std::nullopt;
}

Result<GraphShape> graph_shape(std::uint32_t n, const Config& config) {
  if (n > config.complete_graph_max) {
    const auto shape =
        sparse_graph_shape(n, config.gamma_ppm, config.delta_ppm, config.mode != Mode::kSemiHonest);
    if (shape) return *shape;
  }
  const std::uint32_t corrupt = share_of(config.gamma_ppm, n);
  const std::uint32_t threshold = std::max(2 * n / 3 + 1, (n + corrupt + 1) / 2 + 1);
  if (n < kCohortMin || threshold > n) {
    return fail(ErrorCode::kProtocol, "graph: ", n, " clients, ", corrupt,
                " of them corrupt, would need ", threshold, " shares of ", n);
  }
  return GraphShape{.degree = n - 1, .threshold = threshold};
}

Graph::Graph(std::uint32_t n, const GraphShape& shape, const Hash& roster_hash)
    : degree_(shape.degree), ring_(n), position_(n) {
  std::iota(ring_.begin(), ring_.end(), 0u);
  Keystream stream(public_stream_key(roster_hash, "fl-sa/1/graph"));
  for (std::uint32_t i = n; i > 1; --i) {
    const std::uint64_t limit = (std::uint64_t{1} << 32) / i * i;
    std::uint64_t draw = limit;
    while (draw >= limit) {
      std::array<std::uint8_t, 4> word;
      stream.fill(word);
      draw = ByteReader(word).u32();
    }
    std::swap(ring_[i - 1], ring_[draw % i]);
  }
  for (std::uint32_t p = 0; p < n; ++p) position_[ring_[p]] = p;
}

std::vector<std::uint32_t> Graph::neighbours(std::uint32_t index) const {
  const auto n = static_cast<std::uint32_t>(ring_.size());
  std::vector<std::uint32_t> out;
  if (degree_ + 1 >= n) {
    for (std::uint32_t i = 0; i < n; ++i) {
      if (i != index) out.push_back(i);
    }
    return out;
  }
  for (std::uint32_t step = 1; step <= degree_ / 2; ++step) {
    out.push_back(ring_[(position_[index] + step) % n]);
    out.push_back(ring_[(position_[index] + n - step) % n]);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::uint32_t> Graph::holders(std::uint32_t index) const {
  std::vector<std::uint32_t> out = neighbours(index);
  out.insert(std::upper_bound(out.begin(), out.end(), index), index);
  return out;
}

std::optional<std::uint32_t> Graph::holder_position(std::uint32_t owner,
                                                    std::uint32_t holder) const {
  if (degree_ + 1 >= ring_.size()) return holder;  // everybody holds
  const std::vector<std::uint32_t> all = holders(owner);
  const auto found = std::lower_bound(all.begin(), all.end(), holder);
  if (found == all.end() || *found != holder) return std::nullopt;
  return static_cast<std::uint32_t>(found - all.begin());
}

}  // namespace inkling::secagg
