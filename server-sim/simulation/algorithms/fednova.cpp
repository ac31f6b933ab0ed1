// FedNova (Wang et al., "Tackling the Objective Inconsistency Problem in Heterogeneous Federated
// Optimization", NeurIPS 2020), for local SGD without momentum.
//
//   client   after tau_k steps uploads delta / tau_k, and tau_k as a metric
//   server   w by its rule on tau_eff * mean (delta / tau), with tau_eff = mean tau
//
// Both means travel as sums. tau_eff is the plain mean of the cohort, the paper's for equal
// weights.

#include "server-sim/simulation/algorithm.h"

namespace inkling {

namespace {

constexpr double kStepsMax = 1 << 16;

class FedNova final : public Algorithm {
 public:
  FedNova(const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)) {}
  std::size_t metric_count() const override { return 1; }
  double metric_bound() const override { return kStepsMax; }

  void upload(const ClientTurn& turn, std::span<float> update, std::span<double> metrics) override {
    const auto steps = static_cast<double>(turn.report.steps);
    for (float& v : update) v = static_cast<float>(v / steps);
    metrics[0] = steps;
  }

  Result<void> merge(const RoundMean& mean, std::span<float> parameters) override {
    std::vector<float> scaled = mean.upload;
    for (float& v : scaled) v = static_cast<float>(v * mean.metrics[0]);
    return optimizer_.step(parameters, scaled);
  }
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_fednova(const AlgorithmSpec&,
                                                const AlgorithmContext& context,
                                                ServerOptimizer optimizer) {
  return std::make_unique<FedNova>(context, std::move(optimizer));
}

}  // namespace inkling
