// pFedMe (Dinh et al., "Personalized Federated Learning with Moreau Envelopes", NeurIPS 2020).
//
//   client   for each of R local rounds: theta ~ argmin F_k(theta) + mu / 2 |theta - w|^2 by the
//            local epochs of SGD, and w -= eta mu (w - theta); uploads the delta of w, keeps theta
//   server   as FedAvg; its rate is the paper's beta
//
// The paper solves for theta on one batch a local round, here it is a whole epoch or more. A
// client's model: theta, for who has none yet the global one.

#include <algorithm>

#include "server-sim/simulation/algorithm.h"
#include "server-sim/simulation/algorithms/state_bytes.h"
#include "server-sim/simulation/client_vectors.h"

namespace inkling {

namespace {

class PFedMe final : public Algorithm {
 public:
  PFedMe(const AlgorithmSpec& spec, const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)),
        mu_(spec.mu),
        step_(static_cast<float>(spec.personal_rate * spec.mu)),
        local_rounds_(spec.local_rounds),
        own_(context.parameters) {}

  LocalTerms terms() const override { return {.proximal = true}; }
  bool has_client_state() const override { return true; }
  bool has_personal_models() const override { return true; }

  Result<LocalReport> train(const ClientTurn& turn, std::span<const float> global,
                            const TrainLocally& train_locally, std::span<float> scratch,
                            std::span<float> after) override {
    const std::span<float> theta = scratch;
    std::copy(global.begin(), global.end(), theta.begin());
    std::copy(global.begin(), global.end(), after.begin());
    std::vector<float> next(parameters_);
    LocalReport report;
    for (std::size_t r = 0; r < local_rounds_; ++r) {
      INK_TRY(report, train_locally(theta, {.mu = mu_, .anchor = after}, next, {}));
      std::copy(next.begin(), next.end(), theta.begin());
      for (std::size_t i = 0; i < after.size(); ++i) after[i] -= step_ * (after[i] - theta[i]);
    }
    own_.put(turn.client, theta);
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
  float step_;
  std::size_t local_rounds_;
  ClientVectors own_;  // theta
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_pfedme(const AlgorithmSpec& spec,
                                               const AlgorithmContext& context,
                                               ServerOptimizer optimizer) {
  const double step = spec.personal_rate * spec.mu;
  if (spec.local_rounds == 0 || !(step > 0 && step <= 1)) {
    return fail(ErrorCode::kInvalidArgument, "pfedme: ", spec.local_rounds,
                " local rounds with eta mu = ", step, ": expected at least 1, and above 0 up to 1");
  }
  return std::make_unique<PFedMe>(spec, context, std::move(optimizer));
}

}  // namespace inkling
