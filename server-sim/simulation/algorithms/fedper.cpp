// FedPer (Arivazhagan et al., "Federated Learning with Personalization Layers", arXiv 1912.00818).
//
//   client   trains the shared variables as they came and its own personal ones together; uploads
//            the delta of the shared, keeps the personal
//   server   as FedAvg, on the shared variables
//
// A client's model: the global one with its personal variables in it, for who has none yet those
// that the model began with.

#include "server-sim/simulation/algorithms/personal_layers.h"

namespace inkling {

Result<std::unique_ptr<Algorithm>> make_fedper(const AlgorithmSpec& spec,
                                               const AlgorithmContext& context,
                                               ServerOptimizer optimizer) {
  INK_TRY(SharedRanges ranges, split_ranges(spec, context));
  return std::make_unique<PersonalLayers>(context, std::move(optimizer), std::move(ranges));
}

}  // namespace inkling
