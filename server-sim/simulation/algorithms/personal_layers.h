#pragma once
// PersonalLayers: what FedPer and FedRep share: variables that stay on the device, and are uploaded
// by nobody.

#include "server-sim/simulation/algorithm.h"
#include "server-sim/simulation/client_vectors.h"

namespace inkling {

struct SharedRanges {
  std::vector<ParameterRange> shared, personal;
};

// kInvalidArgument: a personal variable that the model has not, with those it has, or all of them.
Result<SharedRanges> split_ranges(const AlgorithmSpec& spec, const AlgorithmContext& context);

class PersonalLayers : public Algorithm {
 public:
  PersonalLayers(const AlgorithmContext& context, ServerOptimizer optimizer, SharedRanges ranges);

  bool has_client_state() const override { return true; }
  bool has_personal_models() const override { return true; }
  std::size_t upload_length() const override { return shared_length_; }

  Result<LocalReport> train(const ClientTurn& turn, std::span<const float> global,
                            const TrainLocally& train_locally, std::span<float> scratch,
                            std::span<float> after) final;
  void upload(const ClientTurn& turn, std::span<float> update, std::span<double>) final;
  Result<void> merge(const RoundMean& mean, std::span<float> parameters) final;
  void personalise(std::uint64_t client, std::span<float> model) const final;
  Bytes save() const final;
  Result<void> load(ByteSpan bytes) final;

 protected:
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
  ClientVectors own_;
};

}  // namespace inkling
