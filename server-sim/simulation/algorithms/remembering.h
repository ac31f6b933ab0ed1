#pragma once
// Remembering: an algorithm whose clients keep one vector each from round to round, and whose state
// is that and the server's optimizer.

#include "server-sim/simulation/algorithm.h"
#include "server-sim/simulation/algorithms/state_bytes.h"
#include "server-sim/simulation/client_vectors.h"

namespace inkling {

class Remembering : public Algorithm {
 public:
  bool has_client_state() const final { return true; }

  Result<void> merge(const RoundMean& mean, std::span<float> parameters) final {
    INK_CHECK_OK(own_.status());  // before what clients read is believed
    return step(mean, parameters);
  }

  Bytes save() const final { return join_states(optimizer_.save(), own_.save()); }
  Result<void> load(ByteSpan bytes) final {
    INK_TRY(const auto parts, split_states(bytes));
    INK_CHECK_OK(optimizer_.load(parts.first));
    return own_.load(parts.second);
  }

 protected:
  // length: of a client's vector.
  Remembering(const AlgorithmContext& context, ServerOptimizer optimizer, std::size_t length)
      : Algorithm(context, std::move(optimizer)), own_(length) {}
  // As Algorithm::merge.
  virtual Result<void> step(const RoundMean& mean, std::span<float> parameters) {
    return optimizer_.step(parameters, mean.upload);
  }

  ClientVectors own_;
};

// One whose clients keep a model of their own, and have the global one until they have it.
class RememberingModels : public Remembering {
 public:
  bool has_personal_models() const final { return true; }
  void personalise(std::uint64_t client, std::span<float> model) const final {
    own_.get(client, model);
  }

 protected:
  RememberingModels(const AlgorithmContext& context, ServerOptimizer optimizer)
      : Remembering(context, std::move(optimizer), context.parameters) {}
};

}  // namespace inkling
