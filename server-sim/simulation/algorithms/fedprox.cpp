// FedProx (Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020).
//
//   client   minimises F_k(w) + mu / 2 |w - w_t|^2 and uploads its delta
//   server   as FedAvg

#include "server-sim/simulation/algorithm.h"

namespace inkling {

namespace {

class FedProx final : public Algorithm {
 public:
  FedProx(const AlgorithmSpec& spec, const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)), mu_(spec.mu) {}
  LocalTerms terms() const override { return {.proximal = true}; }
  LocalTermValues prepare(const ClientTurn&, std::span<float>) override { return {.mu = mu_}; }

 private:
  double mu_;
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_fedprox(const AlgorithmSpec& spec,
                                                const AlgorithmContext& context,
                                                ServerOptimizer optimizer) {
  return std::make_unique<FedProx>(spec, context, std::move(optimizer));
}

}  // namespace inkling
