// FedBuff (Nguyen et al., "Federated Learning with Buffered Asynchronous Aggregation", AISTATS
// 2022).
//
//   client   starts as soon as another is done; uploads its delta times 1 / sqrt(1 + staleness),
//            where staleness is by how many steps the server has moved on meanwhile
//   server   w by its rule on the mean of each K deltas that came in; a buffer of K is summed,
//   masked
//            or not, as a round's cohort is
//
// The staleness weight is the client's own, so that the server needs the sum alone.

#include <cmath>

#include "server-sim/simulation/algorithm.h"

namespace inkling {

namespace {

class FedBuff final : public Algorithm {
 public:
  FedBuff(const AlgorithmSpec& spec, const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)),
        concurrency_(spec.concurrency > 0 ? spec.concurrency : context.cohort) {}

  std::size_t concurrency() const override { return concurrency_; }
  void upload(const ClientTurn& turn, std::span<float> update, std::span<double>) override {
    const auto weight = static_cast<float>(1 / std::sqrt(1 + static_cast<double>(turn.staleness)));
    for (float& v : update) v *= weight;
  }

 private:
  std::size_t concurrency_;
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_fedbuff(const AlgorithmSpec& spec,
                                                const AlgorithmContext& context,
                                                ServerOptimizer optimizer) {
  return std::make_unique<FedBuff>(spec, context, std::move(optimizer));
}

}  // namespace inkling
