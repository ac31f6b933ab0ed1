#pragma once
// SecureSum: sums over people as a federated server gets them (rerank/learn/people_sum.h). Each
// person's term is clipped, rounded and, in a group of others, masked by the update pipeline that
// devices run; the groups' sums are added. Masked by the real machines of fl-sa/1 or summed in the
// clear, the bits are the same.
//
// Reproducible: rounding and noise are drawn from the seed, by round and person. Noise from a seed
// protects nobody: this is for measuring what it costs.

#include "rerank/learn/people_sum.h"
#include "server-sim/simulation/round_noise.h"

namespace inkling::tools {

struct SecureSumSpec {
  std::uint64_t seed = 1;
  bool masked = false;
  std::size_t group = 32;    // people that mask together, at least
  double clip_l2 = 1 << 14;  // largest L2 norm of a term
  double scale = 1 << 20;    // quantisation steps per unit
  PrivacySpec privacy = {};  // a round with noise is one group
};

// What was asked of people so far.
struct SecureSumTally {
  std::uint64_t rounds = 0;
  std::uint64_t uploads = 0;
  std::uint64_t clipped = 0;   // uploads that were longer than the clip
  std::uint64_t bytes_up = 0;  // masked vectors; keys not counted
};

class SecureSum {
 public:
  explicit SecureSum(const SecureSumSpec& spec) : spec_(spec) {}

  // A SumOverPeople; one round.
  Result<std::vector<double>> operator()(std::span<const std::size_t> people, std::size_t length,
                                         const PersonTerm& term);

  SecureSumSpec& spec() { return spec_; }  // between rounds
  const SecureSumTally& tally() const { return tally_; }
  // Of the rounds with noise so far, at the spec's delta; 0 without one.
  Result<double> epsilon() const;

 private:
  Result<std::vector<std::uint64_t>> upload(const secagg::Config& config,
                                            const secagg::Hash& context, std::size_t person,
                                            const PersonTerm& term);
  Result<std::vector<std::uint64_t>> sum_group(const secagg::Config& config,
                                               const secagg::RoundIdentity& identity,
                                               std::span<const std::size_t> people,
                                               const PersonTerm& term);

  SecureSumSpec spec_;
  SecureSumTally tally_;
  privacy::Accountant spent_;
};

}  // namespace inkling::tools
