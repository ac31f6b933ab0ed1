// signSGD with majority vote (Bernstein et al., "signSGD with Majority Vote is Communication
// Efficient and Fault Tolerant", ICLR 2019), over local training.
//
//   client   votes for the sign of each coordinate of its delta; as one vector of norm 1, so that
//   no
//            clip changes it
//   server   moves each coordinate by rate * local rate the way most voted; a tie moves nothing
//
// A vote is some hundred steps of the ring, so that the sum of roundings cannot change a count.

#include <algorithm>
#include <cmath>

#include "server-sim/simulation/algorithm.h"

namespace inkling {

namespace {

class SignSgd final : public Algorithm {
 public:
  SignSgd(const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)),
        vote_(1 / std::sqrt(static_cast<float>(context.parameters))),
        step_(static_cast<float>(context.local_rate)) {}

  void upload(const ClientTurn&, std::span<float> update, std::span<double>) override {
    for (float& v : update) v = v > 0 ? vote_ : v < 0 ? -vote_ : 0.0f;
  }
  Result<void> merge(const RoundMean& mean, std::span<float> parameters) override {
    std::vector<float> move(mean.upload.size());
    std::transform(mean.upload.begin(), mean.upload.end(), move.begin(), [&](float v) {
      const float votes = std::round(v / vote_ * static_cast<float>(mean.clients));
      return votes > 0 ? step_ : votes < 0 ? -step_ : 0.0f;
    });
    return optimizer_.step(parameters, move);
  }

 private:
  float vote_, step_;
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_signsgd(const AlgorithmSpec&,
                                                const AlgorithmContext& context,
                                                ServerOptimizer optimizer) {
  return std::make_unique<SignSgd>(context, std::move(optimizer));
}

}  // namespace inkling
