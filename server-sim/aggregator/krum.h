#pragma once
// Krum and Bulyan: choosing among group updates by how near they lie to the others.
//
// Pure functions. Distances are squared L2 norms in f64; ties go to the first group.

#include <span>
#include <vector>

namespace inkling {

using GroupDelta = std::span<const float>;

// The group with the least summed distance to its n - hostile - 2 nearest (Blanchard et al.,
// NeurIPS 2017). n >= 2 * hostile + 3 for its guarantee; deltas of equal lengths.
std::size_t krum(std::span<const GroupDelta> deltas, std::size_t hostile);

// n - 2 * hostile groups by repeated Krum, then for each coordinate the mean of the n - 4 * hostile
// of their values that lie nearest the median (Guerraoui et al., ICML 2018). n >= 4 * hostile + 3.
std::vector<float> bulyan(std::span<const GroupDelta> deltas, std::size_t hostile);

}  // namespace inkling
