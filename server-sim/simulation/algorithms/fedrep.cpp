// FedRep (Collins et al., "Exploiting Shared Representations for Personalized Federated Learning",
// ICML 2021).
//
//   client   trains its own personal variables under the shared as they came, for `head_epochs`;
//            then the shared under those; uploads the delta of the shared, keeps the personal
//   server   as FedAvg, on the shared variables

#include "server-sim/simulation/algorithms/personal_layers.h"

namespace inkling {

namespace {

class FedRep final : public PersonalLayers {
 public:
  FedRep(const AlgorithmSpec& spec, const AlgorithmContext& context, ServerOptimizer optimizer,
         SharedRanges ranges)
      : PersonalLayers(context, std::move(optimizer), std::move(ranges)),
        head_epochs_(spec.head_epochs) {}

 protected:
  Result<LocalReport> train_own(std::span<const float> start, const TrainLocally& train_locally,
                                std::span<float> after) const override {
    if (ranges().personal.empty()) return train_locally(start, {}, after, {});
    std::vector<float> middle(parameters_);
    INK_CHECK_OK(
        train_locally(start, {}, middle, {.epochs = head_epochs_, .kept = ranges().shared}));
    return train_locally(middle, {}, after, {.kept = ranges().personal});
  }

 private:
  std::size_t head_epochs_;
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_fedrep(const AlgorithmSpec& spec,
                                               const AlgorithmContext& context,
                                               ServerOptimizer optimizer) {
  INK_TRY(SharedRanges ranges, split_ranges(spec, context));
  return std::make_unique<FedRep>(spec, context, std::move(optimizer), std::move(ranges));
}

}  // namespace inkling
