#include "federated/privacy/pld.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>
#include <unsupported/Eigen/FFT>
#include <vector>

namespace inkling::privacy {

namespace {

constexpr double kTailDeviations = 9.75;  // a normal variable is beyond them with e^-50
constexpr double kWindowTail = 1e-15;     // composed mass that may fall off each end
constexpr double kExpLossCap = 1e130;     // of e^loss; beyond, all mass counts at the high end

// Atoms at loss (first + i) * grid, and mass at infinite loss.
struct LossMass {
  std::int64_t first = 0;
  std::vector<double> mass;
  double lost = 0;
};

// The probability that a standard normal variable falls below z, kept as the smaller tail so that
// differences of neighbours stay exact far out.
struct Tail {
  explicit Tail(double z)
      : above(z > 0), mass(0.5 * std::erfc(std::fabs(z) / std::numbers::sqrt2)) {}
  bool above;
  double mass;
};
double between(const Tail& a, const Tail& b) {
  if (a.above) return a.mass - b.mass;
  return b.above ? 1 - a.mass - b.mass : b.mass - a.mass;
}

// The two densities whose ratio is the loss: with the client, the mixture (1 - q) N(0, s^2) +
// q N(1, s^2); without, N(0, s^2). The log ratio grows with x.
class SubsampledGaussian {
 public:
  explicit SubsampledGaussian(const Gaussian& m) : q_(m.sampling), s_(m.noise_multiplier) {}

  double loss(double x) const {
    const double ratio = (2 * x - 1) / (2 * s_ * s_);
    if (q_ == 1) return ratio;
    if (ratio > 30) return ratio + std::log(q_) + std::log1p((1 - q_) / q_ * std::exp(-ratio));
    return std::log1p(q_ * std::expm1(ratio));
  }
  // Where the loss is `value`, whose exponential is given too; minus infinity when it is larger
  // everywhere.
  double inverse(double value, double exp_value) const {
    if (q_ == 1) return s_ * s_ * value + 0.5;
    if (value > 30) return s_ * s_ * (value - std::log(q_)) + 0.5;
    constexpr double kCancels = 0.1;  // below, the subtraction would lose digits
    const double odds = (std::fabs(value) < kCancels ? std::expm1(value) : exp_value - 1) / q_;
    if (odds <= -1) return -std::numeric_limits<double>::infinity();
    return s_ * s_ * std::log1p(odds) + 0.5;
  }
  double low() const { return -kTailDeviations * s_; }
  double high() const { return 1 + kTailDeviations * s_; }

  struct Edge {
    Tail at_zero, at_one;
  };
  Edge edge(double x) const { return {Tail(x / s_), Tail((x - 1) / s_)}; }
  double without(const Edge& a, const Edge& b) const { return between(a.at_zero, b.at_zero); }
  double with(const Edge& a, const Edge& b) const {
    return (1 - q_) * without(a, b) + q_ * between(a.at_one, b.at_one);
  }

 private:
  double q_, s_;
};

struct Directions {
  LossMass remove, add;
};

// Connecting the dots within one grid cell: `p` is the mass whose losses lie in it, `q` that of the
// other distribution, `exp_low` the exponential of the loss at its low end and `gap` 1 - e^-grid.
// The mass goes to the two ends so that the hockey-stick curve is exact there.
void place(double p, double q, double exp_low, double gap, double& at_low, double& at_high) {
  double high_part = p;
  if (exp_low < kExpLossCap) high_part = std::clamp((p - exp_low * q) / gap, 0.0, p);
  at_high += high_part;
  at_low += p - high_part;
}

Directions loss_of(const Gaussian& mechanism, double grid) {
  const SubsampledGaussian g(mechanism);
  const auto low = static_cast<std::int64_t>(std::floor(g.loss(g.low()) / grid));
  const auto high = static_cast<std::int64_t>(std::ceil(g.loss(g.high()) / grid));
  const auto cells = static_cast<std::size_t>(high - low);
  Directions out;
  out.remove.first = low;
  out.add.first = -high;
  out.remove.mass.resize(cells + 1);
  out.add.mass.resize(cells + 1);
  const auto nowhere = std::numeric_limits<double>::infinity();
  const double gap = -std::expm1(-grid), step = std::exp(grid);
  const double low_loss = static_cast<double>(low) * grid;
  SubsampledGaussian::Edge before = g.edge(g.inverse(low_loss, std::exp(low_loss)));
  // What lies beyond the grid: raised to its end where losses are low, lost where they are high.
  out.remove.mass.front() += g.with(g.edge(-nowhere), before);
  out.add.lost += g.without(g.edge(-nowhere), before);
  double exp_loss = 0;
  for (std::size_t i = 0; i < cells; ++i) {
    constexpr std::size_t kExact = 16;  // cells from one true exponential to the next
    const double loss = static_cast<double>(low + static_cast<std::int64_t>(i)) * grid;
    exp_loss = i % kExact == 0 ? std::exp(loss) : exp_loss * step;
    const SubsampledGaussian::Edge after = g.edge(g.inverse(loss + grid, exp_loss * step));
    const double with = std::max(0.0, g.with(before, after));
    const double without = std::max(0.0, g.without(before, after));
    place(with, without, exp_loss, gap, out.remove.mass[i], out.remove.mass[i + 1]);
    place(without, with, 1 / (exp_loss * step), gap, out.add.mass[cells - i - 1],
          out.add.mass[cells - i]);
    before = after;
  }
  out.remove.lost += g.with(before, g.edge(nowhere));
  out.add.mass.front() += g.without(before, g.edge(nowhere));
  return out;
}

struct Part {
  LossMass loss;
  double count;
};

// A coarser distribution for the bounds below: runs of atoms that carry little mass are one.
struct Run {
  double low, high, mass;  // losses of its first and last atom
};
std::vector<Run> coarsen(const Part& part, double grid) {
  constexpr std::size_t kRun = 64;
  constexpr double kMoved = 1e-4;  // loss times mass that a run may be off, over all uses
  const double mass_max = kMoved / (part.count * kRun * grid);
  std::vector<Run> runs;
  std::size_t length = kRun;
  for (std::size_t i = 0; i < part.loss.mass.size(); ++i) {
    const double at = grid * static_cast<double>(part.loss.first + static_cast<std::int64_t>(i));
    if (length == kRun || runs.back().mass + part.loss.mass[i] > mass_max) {
      runs.push_back({at, at, 0});
      length = 0;
    }
    runs.back().high = at;
    runs.back().mass += part.loss.mass[i];
    ++length;
  }
  return runs;
}

// ln E[e^(order * loss)], no lower than the truth.
double log_moment(std::span<const Run> runs, double order) {
  const double reference = std::max(order * runs.front().low, order * runs.back().high);
  double sum = 0;
  for (const Run& run : runs) {
    sum += run.mass * std::exp(std::max(order * run.low, order * run.high) - reference);
  }
  return reference + std::log(sum);
}

// A bound that the composed loss exceeds (sign 1), or falls below (sign -1), with at most
// kWindowTail: Chernoff's, the best of orders a factor of two apart and then of closer ones.
double window_end(std::span<const Part> parts, std::span<const std::vector<Run>> runs,
                  double sign) {
  const auto bound = [&](double order) {
    double log_sum = -std::log(kWindowTail);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      log_sum += parts[i].count * log_moment(runs[i], sign * order);
    }
    return log_sum / order;
  };
  double best = std::numeric_limits<double>::infinity(), best_order = 0;
  const auto attempt = [&](double order) {
    const double end = bound(order);
    if (end >= best) return;
    best = end;
    best_order = order;
  };
  for (double order = 0x1p-8; order < 0x1p12; order *= 2) attempt(order);
  const double middle = best_order;
  attempt(middle * 0.75);
  attempt(middle * 1.5);
  return sign * best;
}

std::complex<double> power(std::complex<double> base, std::uint64_t exponent) {
  const auto times = [](std::complex<double> a, std::complex<double> b) {
    return std::complex<double>(a.real() * b.real() - a.imag() * b.imag(),
                                a.real() * b.imag() + a.imag() * b.real());
  };
  std::complex<double> result(1);
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = times(result, base);
    base = times(base, base);
  }
  return result;
}

// The smallest of 2^k, 3/4 2^k and 5/8 2^k that holds so many points; small primes transform fast.
std::size_t transform_size(std::size_t points) {
  const std::size_t power_of_two = std::bit_ceil(std::max<std::size_t>(points, 8));
  for (const std::size_t eighths : {std::size_t{5}, std::size_t{6}}) {
    if (power_of_two / 8 * eighths >= points) return power_of_two / 8 * eighths;
  }
  return power_of_two;
}

// The distribution of the sum of all losses within the window [low, low + size).
LossMass compose(std::span<const Part> parts, std::int64_t low, std::size_t size) {
  const std::size_t n = transform_size(size);
  const auto wrap = [&](std::int64_t index) {
    const auto modulus = static_cast<std::int64_t>(n);
    return static_cast<std::size_t>((index % modulus + modulus) % modulus);
  };
  Eigen::FFT<double> fft;
  fft.SetFlag(Eigen::FFT<double>::HalfSpectrum);
  std::vector<std::complex<double>> product(n / 2 + 1, 1.0), spectrum;
  LossMass out{.first = low, .mass = {}, .lost = 2 * kWindowTail};
  for (const Part& part : parts) {
    std::vector<double> folded(n);
    for (std::size_t i = 0; i < part.loss.mass.size(); ++i) {
      folded[wrap(part.loss.first + static_cast<std::int64_t>(i))] += part.loss.mass[i];
    }
    fft.fwd(spectrum, folded);
    const auto count = static_cast<std::uint64_t>(part.count);
    for (std::size_t i = 0; i < product.size(); ++i) product[i] *= power(spectrum[i], count);
    out.lost += part.count * part.loss.lost;
  }
  std::vector<double> folded(n);
  fft.inv(folded, product, static_cast<Eigen::Index>(n));
  out.mass.resize(size);
  for (std::size_t i = 0; i < size; ++i) {
    out.mass[i] = std::max(0.0, folded[wrap(low + static_cast<std::int64_t>(i))]);
  }
  return out;
}

// The smallest epsilon whose hockey-stick divergence is at most delta.
double epsilon_of(const LossMass& loss, double delta, double grid) {
  if (loss.lost >= delta) return std::numeric_limits<double>::infinity();
  // From the top: with all atoms above epsilon in the sums, the divergence at epsilon is
  // lost + above - e^epsilon * scaled, until it passes delta.
  double above = loss.lost, scaled = 0;
  for (std::size_t i = loss.mass.size(); i > 0; --i) {
    const double at = static_cast<double>(loss.first + static_cast<std::int64_t>(i) - 1) * grid;
    if (at < 0 || (above > delta && above - std::exp(at) * scaled > delta)) break;
    above += loss.mass[i - 1];
    scaled += loss.mass[i - 1] * std::exp(-at);
  }
  if (above <= delta) return 0;
  return std::max(0.0, std::log((above - delta) / scaled));
}

Result<double> epsilon_of_parts(std::span<const Part> parts, double delta, double grid) {
  if (parts.size() == 1 && parts[0].count == 1) return epsilon_of(parts[0].loss, delta, grid);
  std::vector<std::vector<Run>> runs;
  for (const Part& part : parts) runs.push_back(coarsen(part, grid));
  const double low = window_end(parts, runs, -1), high = window_end(parts, runs, 1);
  const double points = (high - low) / grid;
  if (!(points < static_cast<double>(kLossPointsMax))) {
    return fail(ErrorCode::kResourceLimit, "pld: losses from ", low, " to ", high, " on a grid of ",
                grid, ", expected at most ", kLossPointsMax, " points");
  }
  const auto first = static_cast<std::int64_t>(std::floor(low / grid));
  const auto size = static_cast<std::size_t>(std::ceil(points)) + 2;
  return epsilon_of(compose(parts, first, size), delta, grid);
}

}  // namespace

Result<double> pld_epsilon(std::span<const GaussianUse> uses, double delta) {
  if (uses.empty()) return 0.0;
  // Wide losses get a coarser grid, which raises the bound and nothing else.
  double grid = kLossGrid;
  for (const GaussianUse& use : uses) {
    INK_CHECK_OK(check_mechanism(use.mechanism));
    const SubsampledGaussian g(use.mechanism);
    const double span = g.loss(g.high()) - g.loss(g.low());
    while (span / grid > static_cast<double>(kLossPointsMax) / 8) grid *= 2;
  }
  for (;;) {
    std::vector<Part> remove, add;
    for (const GaussianUse& use : uses) {
      Directions loss = loss_of(use.mechanism, grid);
      const auto count = static_cast<double>(use.count);
      remove.push_back({std::move(loss.remove), count});
      add.push_back({std::move(loss.add), count});
    }
    const auto removed = epsilon_of_parts(remove, delta, grid);
    const auto added = epsilon_of_parts(add, delta, grid);
    if (removed && added) return std::max(*removed, *added);
    constexpr double kGridMax = 0.1;
    if (grid > kGridMax) return removed ? added : removed;
    grid *= 4;
  }
}

}  // namespace inkling::privacy
