#pragma once
// Partition: which examples a client has, as a pure function of the client's number.
//
// The ways that the literature cuts one data set into clients, and one that makes a population of
// any size without an array of it. Thread-safe: const throughout.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

class Partition {
 public:
  virtual ~Partition() = default;
  virtual std::uint64_t clients() const = 0;
  // The client's examples, as indices into an ExampleSet; replaces `out`. client < clients().
  virtual void examples_of(std::uint64_t client, std::vector<std::uint32_t>& out) const = 0;
};

using PartitionPtr = std::unique_ptr<const Partition>;

// Each: kInvalidArgument when there are no clients, or more clients than the examples allow.

// Equal parts of a shuffle.
Result<PartitionPtr> partition_uniform(std::size_t examples, std::uint64_t clients,
                                       std::uint64_t seed);
// Label skew: for each label, the clients' shares are drawn from Dirichlet(alpha) (Yurochkin et
// al., ICML 2019). Small alpha: few labels a client. Every client has at least one example.
Result<PartitionPtr> partition_dirichlet(std::span<const std::uint32_t> labels,
                                         std::uint64_t clients, double alpha, std::uint64_t seed);
// Sorted by label and cut into shards, of which each client gets `shards` (McMahan et al., AISTATS
// 2017).
Result<PartitionPtr> partition_shards(std::span<const std::uint32_t> labels, std::uint64_t clients,
                                      std::size_t shards, std::uint64_t seed);
// Quantity skew: the clients' sizes are drawn from Dirichlet(alpha); every client has at least one.
Result<PartitionPtr> partition_quantity(std::size_t examples, std::uint64_t clients, double alpha,
                                        std::uint64_t seed);
// owner[i]: the client of example i, each client below max(owner) + 1 having at least one.
Result<PartitionPtr> partition_natural(std::span<const std::uint32_t> owner);
// The same where clients may have none, and where an owner that is not below `clients` is nobody.
Result<PartitionPtr> partition_owned(std::span<const std::uint32_t> owner, std::uint64_t clients);
// A generated population: each client draws `examples` of them with replacement, its labels from
// its own Dirichlet(alpha) over the labels (Hsu et al., arXiv 1909.06335); alpha = 0: uniformly.
// Needs no memory a client.
Result<PartitionPtr> partition_sampled(std::span<const std::uint32_t> labels, std::uint64_t clients,
                                       std::size_t examples, double alpha, std::uint64_t seed);

}  // namespace inkling
