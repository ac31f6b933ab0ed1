#pragma once
// Ranks: processes, on one machine or many, that play one simulation together.
//
// Each plays every round, but trains only its part of the cohort; then all add up what they have,
// as ring integers, so that the next model has the same bits whoever trained whom. A rank that is
// lost takes the others with it: the run goes on from its last checkpoint.

#include <cstdint>
#include <span>

#include "runtime/base/result.h"

namespace inkling {

class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual std::size_t rank() const = 0;   // this process, below count()
  virtual std::size_t count() const = 0;  // 1 or more
  // Each element becomes its sum over all ranks, mod 2^64. Every rank calls it, in the same order
  // and with as many elements.
  virtual Result<void> add_up(std::span<std::uint64_t> values) = 0;
};

}  // namespace inkling
