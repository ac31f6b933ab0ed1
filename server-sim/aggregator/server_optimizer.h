#pragma once
// ServerOptimizer: how the global model takes the mean update of a round.
//
// The mean update is a pseudo-gradient (Reddi et al., "Adaptive Federated Optimization", ICLR
// 2021):
//
//   fedavg      w += rate * d                                          (McMahan et al., AISTATS
//   2017) fedavgm     v  = momentum * v + d;              w += rate * v      (Hsu et al., arXiv
//   1909.06335) fedadagrad  v += d^2 fedadam     v  = beta2 v + (1 - beta2) d^2 fedyogi     v -= (1
//   - beta2) d^2 sign(v - d^2)
//     these three with  m = momentum m + (1 - momentum) d;  w += rate * m / (sqrt(v) + tau),
//     v beginning at tau^2; without bias correction, as in the paper
//
// Moments are f64. Elementwise, so the same bits everywhere. One thread at a time.

#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/bytes.h"

namespace inkling {

enum class ServerRule : std::uint8_t { kFedAvg, kFedAvgM, kFedAdagrad, kFedAdam, kFedYogi };
// By the names above. kInvalidArgument lists them.
Result<ServerRule> server_rule_from(std::string_view name);

struct ServerOptimizerSpec {
  ServerRule rule = ServerRule::kFedAvg;
  double rate = 1.0;
  double momentum = 0.9;  // beta1 of the adaptive rules
  double beta2 = 0.99;
  double tau = 1e-3;  // adaptivity: smaller is more adaptive
};

class ServerOptimizer {
 public:
  ServerOptimizer(const ServerOptimizerSpec& spec, std::size_t parameters);

  // mean, parameters: f32[parameters].
  void step(std::span<const float> mean, std::span<float> parameters);

  Bytes save() const;  // the moments
  // kCorrupt: of another rule or size.
  Result<void> load(ByteSpan bytes);

 private:
  ServerOptimizerSpec spec_;
  std::vector<double> first_, second_;  // as far as the rule has them
};

}  // namespace inkling
