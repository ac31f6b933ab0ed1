// Ditto (Li et al., "Ditto: Fair and Robust Federated Learning Through Personalization", ICML
// 2021).
//
//   client   uploads the delta of the global model, as FedAvg; then minimises
//            F_k(v) + mu / 2 |v - w_t|^2 from its own v_k, which stays on the device
//   server   as FedAvg
//
// A client's model: v_k, for who has none yet the global one.

#include <algorithm>

#include "server-sim/simulation/algorithm.h"
#include "server-sim/simulation/algorithms/state_bytes.h"
#include "server-sim/simulation/client_vectors.h"

namespace inkling {

namespace {

class Ditto final : public Algorithm {
 public:
  Ditto(const AlgorithmSpec& spec, const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)), mu_(spec.mu), own_(context.parameters) {}

  LocalTerms terms() const override { return {.proximal = true}; }
  bool has_client_state() const override { return true; }
  bool has_personal_models() const override { return true; }

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
  Result<void> merge(const RoundMean& mean, std::span<float> parameters) override {
    INK_CHECK_OK(own_.status());
    return optimizer_.step(parameters, mean.upload);
  }
  void personalise(std::uint64_t client, std::span<float> model) const override {
    own_.get(client, model);
  }

  Bytes save() const override { return join_states(optimizer_.save(), own_.save()); }
  Result<void> load(ByteSpan bytes) override {
    INK_TRY(const auto parts, split_states(bytes));
    INK_CHECK_OK(optimizer_.load(parts.first));
    return own_.load(parts.second);
  }

 private:
  double mu_;
  ClientVectors own_;  // v_k
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_ditto(const AlgorithmSpec& spec,
                                              const AlgorithmContext& context,
                                              ServerOptimizer optimizer) {
  return std::make_unique<Ditto>(spec, context, std::move(optimizer));
}

}  // namespace inkling
