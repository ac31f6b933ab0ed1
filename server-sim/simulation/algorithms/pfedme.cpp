// pFedMe (Dinh et al., "Personalized Federated Learning with Moreau Envelopes", NeurIPS 2020).
//
//   client   for each of R local rounds: theta ~ argmin F_k(theta) + mu / 2 |theta - w|^2 by the
//            local epochs of SGD, and w -= eta mu (w - theta); uploads the delta of w, keeps theta
//   server   as FedAvg; its rate is the paper's beta
//
// The paper solves for theta on one batch a local round, here it is a whole epoch or more. A
// client's model: theta, for who has none yet the global one.

#include <algorithm>

#include "server-sim/simulation/algorithms/remembering.h"

namespace inkling {

namespace {

class PFedMe final : public RememberingModels {
 public:
  PFedMe(const AlgorithmSpec& spec, const AlgorithmContext& context, ServerOptimizer optimizer)
      : RememberingModels(context, std::move(optimizer)),
        mu_(spec.mu),
        step_(static_cast<float>(spec.personal_rate * spec.mu)),
        local_rounds_(spec.local_rounds) {}

  LocalTerms terms() const override { return {.proximal = true}; }

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

 private:
  double mu_;
  float step_;
  std::size_t local_rounds_;
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
