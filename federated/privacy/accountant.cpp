#include "federated/privacy/accountant.h"

#include <algorithm>
#include <functional>

#include "federated/privacy/bisection.h"
#include "federated/privacy/pld.h"
#include "federated/privacy/rdp.h"

namespace inkling::privacy {

namespace {

Result<void> check_delta(double delta) {
  if (delta > 0 && delta < 1) return {};
  return fail(ErrorCode::kInvalidArgument, "accountant: delta is ", delta, ", expected (0, 1)");
}

bool all_gaussian(std::span<const Use> uses) {
  return std::all_of(uses.begin(), uses.end(), [](const Use& use) {
    return std::holds_alternative<Gaussian>(use.mechanism);
  });
}

bool same_gaussian(const Gaussian& a, const Gaussian& b) {
  return a.noise_multiplier == b.noise_multiplier && a.sampling == b.sampling;
}

// Equal mechanisms together: they share one distribution.
std::vector<GaussianUse> gaussian_uses(std::span<const Use> uses) {
  std::vector<GaussianUse> out;
  for (const Use& use : uses) {
    const Gaussian& mechanism = std::get<Gaussian>(use.mechanism);
    const auto found = std::find_if(out.begin(), out.end(), [&](const GaussianUse& earlier) {
      return same_gaussian(earlier.mechanism, mechanism);
    });
    if (found == out.end()) {
      out.push_back({.mechanism = mechanism, .count = use.count});
    } else {
      found->count += use.count;
    }
  }
  return out;
}

std::vector<double> add_rdp(std::vector<double> sum, const Use& use) {
  const std::vector<double> rdp = rdp_of(use.mechanism, static_cast<double>(use.count));
  if (sum.empty()) return rdp;
  std::transform(sum.begin(), sum.end(), rdp.begin(), sum.begin(), std::plus());
  return sum;
}

Result<Spent> best_of(std::span<const Use> uses, std::span<const double> rdp, double delta) {
  INK_CHECK_OK(check_delta(delta));
  if (uses.empty()) return Spent{};
  Spent spent{.epsilon = epsilon_of_rdp(rdp, delta).epsilon, .method = Method::kRdp};
  if (!all_gaussian(uses)) return spent;
  const auto tighter = pld_epsilon(gaussian_uses(uses), delta);
  if (tighter && *tighter < spent.epsilon) spent = {.epsilon = *tighter, .method = Method::kPld};
  return spent;
}

}  // namespace

std::string_view method_name(Method method) { return method == Method::kRdp ? "rdp" : "pld"; }

Result<void> Accountant::add(const Use& use) {
  INK_CHECK_OK(check_mechanism(use.mechanism));
  if (use.count == 0) return fail(ErrorCode::kInvalidArgument, "accountant: a count of 0");
  rdp_ = add_rdp(std::move(rdp_), use);
  uses_.push_back(use);
  return {};
}

Result<Spent> Accountant::spent(double delta) const { return best_of(uses_, rdp_, delta); }

Result<bool> Accountant::would_exceed(const Use& next, const Budget& budget) const {
  Accountant after = *this;
  INK_CHECK_OK(after.add(next));
  INK_TRY(const Spent spent, after.spent(budget.delta));
  return !(spent.epsilon <= budget.epsilon);
}

Result<double> epsilon_by(Method method, std::span<const Use> uses, double delta) {
  INK_CHECK_OK(check_delta(delta));
  for (const Use& use : uses) INK_CHECK_OK(check_mechanism(use.mechanism));
  if (uses.empty()) return 0.0;
  if (method == Method::kRdp) {
    std::vector<double> rdp;
    for (const Use& use : uses) rdp = add_rdp(std::move(rdp), use);
    return epsilon_of_rdp(rdp, delta).epsilon;
  }
  if (!all_gaussian(uses)) {
    return fail(ErrorCode::kUnsupported, "accountant: pld knows Gaussian mechanisms only");
  }
  return pld_epsilon(gaussian_uses(uses), delta);
}

Result<double> calibrate_gaussian(Method method, double sampling, std::uint64_t count,
                                  const Budget& budget) {
  INK_CHECK_OK(check_delta(budget.delta));
  if (!(budget.epsilon > 0)) {
    return fail(ErrorCode::kInvalidArgument, "calibration: epsilon is ", budget.epsilon,
                ", expected above 0");
  }
  return smallest_noise([&](double noise) -> Result<bool> {
    const Use use{.mechanism = Gaussian{.noise_multiplier = noise, .sampling = sampling},
                  .count = count};
    const auto epsilon = epsilon_by(method, {&use, 1}, budget.delta);
    if (!epsilon && epsilon.error().code == ErrorCode::kResourceLimit) return false;
    INK_CHECK_OK(epsilon);
    return *epsilon <= budget.epsilon;
  });
}

}  // namespace inkling::privacy
