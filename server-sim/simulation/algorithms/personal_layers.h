#pragma once
// PersonalLayers: what FedPer and FedRep share: variables that stay on the device, and are uploaded
// by nobody.

#include "server-sim/simulation/algorithms/remembering.h"

namespace inkling {

struct SharedRanges {
  std::vector<ParameterRange> shared, personal;
};

// kInvalidArgument: a personal variable that the model has not, with those it has, or all of them.
Result<SharedRanges> split_ranges(const AlgorithmSpec& spec, const AlgorithmContext& context);

class PersonalLayers : public Remembering {
 public:
  PersonalLayers(const AlgorithmContext& context, ServerOptimizer optimizer, SharedRanges ranges);

  bool has_personal_models() const override { return true; }
  std::size_t upload_length() const override { return shared_length_; }

  Result<LocalReport> train(const ClientTurn& turn, std::span<const float> global,
                            const TrainLocally& train_locally, std::span<float> scratch,
                            std::span<float> after) final;
  void upload(const ClientTurn& turn, std::span<float> update, std::span<double>) final;
  void personalise(std::uint64_t client, std::span<float> model) const final;

 protected:
  Result<void> step(const RoundMean& mean, std::span<float> parameters) final;
  const SharedRanges& ranges() const { return ranges_; }
  // From the client's own model to `after`.
  virtual Result<LocalReport> train_own(std::span<const float> start,
                                        const TrainLocally& train_locally,
                                        std::span<float> after) const {
    return train_locally(start, {}, after, {});
  }

 private:
  SharedRanges ranges_;
  std::size_t shared_length_;
};

}  // namespace inkling
