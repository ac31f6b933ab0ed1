#pragma once
// Rng: the reproducible generator for simulation, initialisation, shuffling and stochastic
// rounding.
//
// Counter-based Philox 4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
// SC'11): the stream is a pure function of (seed, purpose, index), so a client's draws do not
// depend on who else runs, on which thread, or in which order. It is not a cryptographic generator,
// and it is a type of its own so that it cannot be passed where keys are made.

#include <array>
#include <cstdint>
#include <string_view>

namespace inkling {

class Rng {
 public:
  // purpose separates independent uses of one seed ("shuffle", "init", ...); index a member of a
  // family (a client, a round, an epoch).
  Rng(std::uint64_t seed, std::string_view purpose, std::uint64_t index = 0);

  std::uint32_t next_u32();
  std::uint64_t next_u64();
  double uniform();                          // [0, 1), 53 bits
  double normal();                           // mean 0, variance 1 (Box-Muller)
  std::uint64_t below(std::uint64_t bound);  // [0, bound), unbiased; bound >= 1

  // Fisher-Yates.
  template <typename Range>
  void shuffle(Range& range) {
    for (std::size_t i = range.size(); i > 1; --i) {
      using std::swap;
      swap(range[i - 1], range[static_cast<std::size_t>(below(i))]);
    }
  }

 private:
  void refill();
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  unsigned used_ = 4;
};

}  // namespace inkling
