#include "federated/privacy/rdp.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace inkling::privacy {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kOrders = 156;

constexpr std::array<double, kOrders> make_orders() {
  std::array<double, kOrders> orders{};
  std::size_t i = 0;
  for (int tenth = 1; tenth < 100; ++tenth) orders[i++] = 1 + tenth / 10.0;
  for (int whole = 11; whole < 64; ++whole) orders[i++] = whole;
  for (const int power : {128, 256, 512, 1024}) orders[i++] = power;
  return orders;
}
constexpr auto kOrderTable = make_orders();

bool is_whole(double x) { return x == std::floor(x); }

double log_add(double a, double b) {
  const auto [low, high] = std::minmax(a, b);
  return low == -kInfinity ? high : high + std::log1p(std::exp(low - high));
}
// ln(e^a - e^b) for a >= b up to rounding.
double log_subtract(double a, double b) {
  if (b == -kInfinity) return a;
  return a > b ? a + std::log1p(-std::exp(b - a)) : -kInfinity;
}

double log_binomial(double n, double k) {
  return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
}

// ln erfc(x), by its asymptotic series where erfc underflows.
double log_erfc(double x) {
  if (x < 20) return std::log(std::erfc(x));
  const double y = 1 / (x * x);
  const double series = 1 - y * (0.5 - y * (0.75 - y * 1.875));
  return -x * x - std::log(x) - 0.5 * std::log(std::numbers::pi) + std::log(series);
}

// ln of the alpha-th moment of the subsampled Gaussian, a finite sum for whole orders.
double log_moment_whole(double q, double sigma, int alpha) {
  double sum = -kInfinity;
  for (int i = 0; i <= alpha; ++i) {
    const double term = log_binomial(alpha, i) + i * std::log(q) + (alpha - i) * std::log1p(-q);
    sum = log_add(sum, term + i * (i - 1.0) / (2 * sigma * sigma));
  }
  return sum;
}

// The same for fractional orders: two series, for the halves of the line on either side of z0.
double log_moment_fraction(double q, double sigma, double alpha) {
  constexpr double kNegligible = -30;
  const double z0 = sigma * sigma * std::log(1 / q - 1) + 0.5;
  const double width = std::numbers::sqrt2 * sigma, two_variances = 2 * sigma * sigma;
  double sum = -kInfinity;
  double log_coefficient = 0;  // of |binomial(alpha, i)|
  bool positive = true;
  for (int i = 0;; ++i) {
    const double j = alpha - i;
    const double lower = log_coefficient + i * std::log(q) + j * std::log1p(-q) +
                         i * (i - 1.0) / two_variances + std::log(0.5) + log_erfc((i - z0) / width);
    const double upper = log_coefficient + j * std::log(q) + i * std::log1p(-q) +
                         j * (j - 1) / two_variances + std::log(0.5) + log_erfc((z0 - j) / width);
    const double term = log_add(lower, upper);
    sum = positive ? log_add(sum, term) : log_subtract(sum, term);
    if (std::max(lower, upper) < kNegligible) return sum;
    log_coefficient += std::log(std::fabs(j)) - std::log(i + 1.0);
    if (j < 0) positive = !positive;
  }
}

double rdp_at(const Gaussian& m, double alpha) {
  const double sigma = m.noise_multiplier;
  if (m.sampling == 1) return alpha / (2 * sigma * sigma);
  const double log_moment = is_whole(alpha)
                                ? log_moment_whole(m.sampling, sigma, static_cast<int>(alpha))
                                : log_moment_fraction(m.sampling, sigma, alpha);
  return std::max(0.0, log_moment) / (alpha - 1);
}

double unsampled_rdp(const DistributedDiscreteGaussian& m, double tau, double alpha) {
  const double dimension = static_cast<double>(m.dimension);
  const double deviation = std::sqrt(static_cast<double>(m.clients)) * m.sigma;
  const double ratio = m.l2 / deviation;
  const double far = ratio + tau * std::sqrt(dimension);
  return std::min({alpha / 2 * ratio * ratio + tau * dimension,
                   alpha / 2 * (ratio * ratio + 2 * m.l1 / deviation * tau + tau * tau * dimension),
                   alpha / 2 * far * far});
}

double unsampled_rdp(const Skellam& m, double, double alpha) {
  const double square = m.l2 * m.l2;
  const double extra = ((2 * alpha - 1) * square + 6 * m.l1) / (4 * m.variance * m.variance);
  return alpha * square / (2 * m.variance) + std::min(extra, 3 * m.l1 / (2 * m.variance));
}

// Zhu and Wang's bound for whole orders; at[l] is the unsampled divergence at order l.
double subsampled_bound(std::span<const double> at, double q, int alpha) {
  const double log_q = std::log(q), log_rest = std::log1p(-q);
  double sum = (alpha - 1) * log_rest + std::log(alpha * q - q + 1);
  for (int l = 2; l <= alpha; ++l) {
    const double factor = l == 2 ? 0 : std::log(3.0);
    sum = log_add(sum, factor + log_binomial(alpha, l) + (alpha - l) * log_rest + l * log_q +
                           (l - 1) * at[static_cast<std::size_t>(l)]);
  }
  return std::max(0.0, sum) / (alpha - 1);
}

template <typename M>
std::vector<double> integer_mechanism_rdp(const M& m, double tau) {
  std::vector<double> out(kOrders, kInfinity);
  std::vector<double> at;  // whole orders, when sampling needs them
  if (m.sampling < 1) {
    at.resize(static_cast<std::size_t>(kOrderTable.back()) + 1);
    for (std::size_t l = 2; l < at.size(); ++l) at[l] = unsampled_rdp(m, tau, double(l));
  }
  for (std::size_t i = 0; i < kOrders; ++i) {
    const double alpha = kOrderTable[i];
    if (m.sampling == 1) out[i] = unsampled_rdp(m, tau, alpha);
    if (m.sampling < 1 && is_whole(alpha)) {
      // Sampling never gives away more than taking everybody.
      out[i] = std::min(subsampled_bound(at, m.sampling, static_cast<int>(alpha)),
                        unsampled_rdp(m, tau, alpha));
    }
  }
  return out;
}

struct Rdp {
  std::vector<double> operator()(const Gaussian& m) const {
    std::vector<double> out(kOrders);
    std::transform(kOrderTable.begin(), kOrderTable.end(), out.begin(),
                   [&](double alpha) { return rdp_at(m, alpha); });
    return out;
  }
  std::vector<double> operator()(const DistributedDiscreteGaussian& m) const {
    return integer_mechanism_rdp(m, discrete_gaussian_gap(m.clients, m.sigma));
  }
  std::vector<double> operator()(const Skellam& m) const { return integer_mechanism_rdp(m, 0); }
  // A client is in as many nodes as the tree has levels.
  std::vector<double> operator()(const Tree& m) const {
    const double levels = std::ceil(std::log2(static_cast<double>(m.steps) + 1));
    std::vector<double> out = (*this)(Gaussian{.noise_multiplier = m.noise_multiplier});
    for (double& rdp : out) rdp *= levels;
    return out;
  }
};

}  // namespace

std::span<const double> rdp_orders() { return kOrderTable; }

std::vector<double> rdp_of(const Mechanism& mechanism, double count) {
  std::vector<double> out = std::visit(Rdp(), mechanism);
  for (double& rdp : out) rdp *= count;
  return out;
}

RdpEpsilon epsilon_of_rdp(std::span<const double> rdp, double delta) {
  RdpEpsilon best{.epsilon = kInfinity, .order = kOrderTable[0]};
  for (std::size_t i = 0; i < kOrders; ++i) {
    const double alpha = kOrderTable[i];
    double epsilon =
        rdp[i] + std::log1p(-1 / alpha) - (std::log(delta) + std::log(alpha)) / (alpha - 1);
    if (delta * delta + std::expm1(-rdp[i]) > 0) epsilon = 0;  // total variation below delta
    if (epsilon < best.epsilon) best = {.epsilon = std::max(0.0, epsilon), .order = alpha};
  }
  return best;
}

}  // namespace inkling::privacy
