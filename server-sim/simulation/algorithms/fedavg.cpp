// FedAvg (McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized
// Data", AISTATS 2017) and the adaptive rules over it (Reddi et al., ICLR 2021).
//
//   client   uploads its delta
//   server   the rule of server_optimizer.h on the mean delta

#include "server-sim/simulation/algorithm.h"

namespace inkling {

namespace {

class FedAvg final : public Algorithm {
 public:
  FedAvg(const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)) {}
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_fedavg(const AlgorithmSpec&,
                                               const AlgorithmContext& context,
                                               ServerOptimizer optimizer) {
  return std::make_unique<FedAvg>(context, std::move(optimizer));
}

}  // namespace inkling
