// SCAFFOLD, option II (Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated
// Learning", ICML 2020).
//
//   client   steps along g(w) - c_k + c, K steps at rate eta; then
//            c_k' = c_k - c + (w_t - w) / (K eta), and uploads (w - w_t, c_k' - c_k)
//   server   w by its rule on the mean delta; c += |S| / N * mean (c_k' - c_k)
//
// c_k stays on the device. The correction c - c_k enters as <c - c_k, w>, whose gradient it is.

#include <bit>

#include "server-sim/simulation/algorithm.h"
#include "server-sim/simulation/algorithms/state_bytes.h"
#include "server-sim/simulation/client_vectors.h"

namespace inkling {

namespace {

class Scaffold final : public Algorithm {
 public:
  Scaffold(const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)),
        rate_(context.local_rate),
        clients_(static_cast<double>(context.clients)),
        control_(context.parameters, 0.0f),
        own_(context.parameters) {}

  bool has_client_state() const override { return true; }
  LocalTerms terms() const override { return {.correction = true}; }
  std::size_t upload_length() const override { return 2 * parameters_; }

  LocalTermValues prepare(const ClientTurn& turn, std::span<float> scratch) override {
    std::vector<float> own(parameters_, 0.0f);
    own_.get(turn.client, own);
    for (std::size_t i = 0; i < parameters_; ++i) scratch[i] = control_[i] - own[i];
    return {.correction = scratch};
  }

  void upload(const ClientTurn& turn, std::span<float> update, std::span<double>) override {
    std::vector<float> own(parameters_, 0.0f);
    own_.get(turn.client, own);
    const double scale = 1.0 / (static_cast<double>(turn.report.steps) * rate_);
    for (std::size_t i = 0; i < parameters_; ++i) {
      const auto moved = static_cast<float>(-update[i] * scale) - control_[i];
      update[parameters_ + i] = moved;
      own[i] += moved;
    }
    own_.put(turn.client, own);
  }

  Result<void> merge(const RoundMean& mean, std::span<float> parameters) override {
    INK_CHECK_OK(own_.status());
    const std::span<const float> upload = mean.upload;
    INK_CHECK_OK(optimizer_.step(parameters, upload.first(parameters_)));
    const auto share = static_cast<float>(static_cast<double>(mean.clients) / clients_);
    for (std::size_t i = 0; i < parameters_; ++i) control_[i] += share * upload[parameters_ + i];
    return {};
  }

  Bytes save() const override {
    ByteWriter control;
    for (const float c : control_) control.u32(std::bit_cast<std::uint32_t>(c));
    return join_states(optimizer_.save(), join_states(control.bytes(), own_.save()));
  }

  Result<void> load(ByteSpan bytes) override {
    INK_TRY(const auto parts, split_states(bytes));
    INK_TRY(const auto vectors, split_states(parts.second));
    ByteReader control(vectors.first);
    for (float& c : control_) c = std::bit_cast<float>(control.u32());
    if (!control.finished())
      return fail(ErrorCode::kCorrupt, "scaffold: a state of ", bytes.size(), " bytes");
    INK_CHECK_OK(optimizer_.load(parts.first));
    return own_.load(vectors.second);
  }

 private:
  double rate_, clients_;
  std::vector<float> control_;  // c
  ClientVectors own_;           // c_k
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_scaffold(const AlgorithmSpec&,
                                                 const AlgorithmContext& context,
                                                 ServerOptimizer optimizer) {
  return std::make_unique<Scaffold>(context, std::move(optimizer));
}

}  // namespace inkling
