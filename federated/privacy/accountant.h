#pragma once
// Accountant: what a task has given away so far, and whether one more round may be played.
//
// It adds up mechanisms and answers with the smallest epsilon that some accountant can prove: RDP
// for all of them, PLD while all are Gaussian. Ask would_exceed() before a round starts; a round
// that would break the budget must not be played. One thread at a time.

#include <span>
#include <string_view>
#include <vector>

#include "federated/privacy/mechanism.h"

namespace inkling::privacy {

struct Use {
  Mechanism mechanism;
  std::uint64_t count = 1;
};

struct Budget {
  double epsilon = 1.0;
  double delta = 1e-6;
};

enum class Method : std::uint8_t { kRdp, kPld };
std::string_view method_name(Method method);  // "rdp", "pld"

struct Spent {
  double epsilon = 0;
  Method method = Method::kRdp;  // that proved it
};

class Accountant {
 public:
  // kInvalidArgument as check_mechanism, or for a count of 0.
  Result<void> add(const Use& use);

  // kInvalidArgument unless delta is in (0, 1).
  Result<Spent> spent(double delta) const;
  // Whether all uses so far and this one together would go over the budget.
  Result<bool> would_exceed(const Use& next, const Budget& budget) const;

  const std::vector<Use>& uses() const { return uses_; }

 private:
  std::vector<Use> uses_;
  std::vector<double> rdp_;  // of all uses, by order
};

// Epsilon by one accountant alone. kUnsupported: PLD of a mechanism that is not Gaussian.
Result<double> epsilon_by(Method method, std::span<const Use> uses, double delta);

// The smallest noise multiplier with which `count` rounds of the subsampled Gaussian keep the
// budget, by one accountant.
Result<double> calibrate_gaussian(Method method, double sampling, std::uint64_t count,
                                  const Budget& budget);

}  // namespace inkling::privacy
