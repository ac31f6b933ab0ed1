// Ditto (Li et al., "Ditto: Fair and Robust Federated Learning Through Personalization", ICML
// 2021).
//
//   client   uploads the delta of the global model, as FedAvg; then minimises
//            F_k(v) + mu / 2 |v - w_t|^2 from its own v_k, which stays on the device
//   server   as FedAvg
//
// A client's model: v_k, for who has none yet the global one.

#include <algorithm>

#include "server-sim/simulation/algorithms/remembering.h"

namespace inkling {

namespace {

class Ditto final : public RememberingModels {
 public:
  Ditto(const AlgorithmSpec& spec, const AlgorithmContext& context, ServerOptimizer optimizer)
      : RememberingModels(context, std::move(optimizer)), mu_(spec.mu) {}

  LocalTerms terms() const override { return {.proximal = true}; }

  Result<LocalReport> train(const ClientTurn& turn, std::span<const float> global,
                            const TrainLocally& train_locally, std::span<float> scratch,
                            std::span<float> after) override {
    INK_TRY(const LocalReport report, train_locally(global, {.mu = 0}, after, {}));
    std::copy(global.begin(), global.end(), scratch.begin());
    personalise(turn.client, scratch);
    std::vector<float> own(parameters_);
    INK_CHECK_OK(train_locally(scratch, {.mu = mu_, .anchor = global}, own, {}));
    own_.put(turn.client, own);
    return report;
  }

 private:
  double mu_;
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_ditto(const AlgorithmSpec& spec,
                                              const AlgorithmContext& context,
                                              ServerOptimizer optimizer) {
  return std::make_unique<Ditto>(spec, context, std::move(optimizer));
}

}  // namespace inkling
