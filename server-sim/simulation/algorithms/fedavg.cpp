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
  FedAvg(const AlgorithmSpec& spec, const AlgorithmContext& context) : Algorithm(spec, context) {}
};

}  // namespace

std::unique_ptr<Algorithm> make_fedavg(const AlgorithmSpec& spec, const AlgorithmContext& context) {
  return std::make_unique<FedAvg>(spec, context);
}

}  // namespace inkling
