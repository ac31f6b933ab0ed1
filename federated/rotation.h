#pragma once
// The randomised Hadamard rotation that flattens an update before it is quantised (Suresh et al.,
// "Distributed Mean Estimation with Limited Communication", ICML'17): random signs, then an
// orthonormal Walsh-Hadamard transform of each block. It keeps L2 norms and is linear, so the
// server undoes it once, on the sum.

#include <cstdint>
#include <span>

#include "federated/secagg/crypto.h"

namespace inkling::federated {

// values.size() is a multiple of block, block a power of two. The signs follow from ctx, so all
// clients of a round use the same ones.
void rotate(std::span<float> values, std::uint32_t block, const secagg::Hash& ctx);
void unrotate(std::span<float> values, std::uint32_t block, const secagg::Hash& ctx);

}  // namespace inkling::federated
