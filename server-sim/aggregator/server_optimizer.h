#pragma once
// ServerOptimizer: how the global model takes the mean update of a round.
//
//   kFedAvg      x += rate d                             (McMahan et al., AISTATS'17)
//   kFedAvgM     m = momentum m + d; x += rate m         (Hsu, Qi and Brown, 2019)
//   kFedAdagrad  m = momentum m + (1 - momentum) d; v += d^2; x += rate m / (sqrt(v) + tau)
//   kFedAdam     ... v = decay v + (1 - decay) d^2
//   kFedYogi     ... v -= (1 - decay) d^2 sign(v - d^2)  (Reddi et al., ICLR'21, Algorithm 2)
// where d is the mean update, i.e. a descent direction already. m begins at 0, v at tau^2.
//
// Sums in f64, state in f32, coordinates independent: the same updates give the same bits whatever
// the machine. One thread at a time.

#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/bytes.h"

namespace inkling {

enum class ServerRule : std::uint8_t { kFedAvg, kFedAvgM, kFedAdagrad, kFedAdam, kFedYogi };

std::string_view server_rule_name(ServerRule rule);  // "fedavg", "fedavgm", ...
// kInvalidArgument naming the known rules.
Result<ServerRule> parse_server_rule(std::string_view name);

struct ServerOptimizerSpec {
  ServerRule rule = ServerRule::kFedAvg;
  double rate = 1.0;      // above 0
  double momentum = 0.9;  // [0, 1)
  double decay = 0.99;    // (0, 1)
  double tau = 1e-3;      // above 0: how adaptive; the smaller, the more
};

class ServerOptimizer {
 public:
  // kInvalidArgument naming the field out of range.
  static Result<ServerOptimizer> create(const ServerOptimizerSpec& spec, std::size_t parameters);

  // parameters: f32[n], changed in place; mean_delta: f32[n]; factor: of the rate, for a rate that
  // changes from round to round. kInvalidArgument for another length or a delta that is not finite;
  // nothing is changed then.
  Result<void> step(std::span<float> parameters, std::span<const float> mean_delta,
                    double factor = 1);

  // What must be kept between rounds, and back. kCorrupt unless it is the state of such an
  // optimizer: same rule, same length.
  Bytes save() const;
  Result<void> load(ByteSpan state);

 private:
  ServerOptimizer(const ServerOptimizerSpec& spec, std::size_t parameters);
  ServerOptimizerSpec spec_;
  std::size_t parameters_;
  std::vector<float> momentum_, scale_;  // m and v; empty where the rule has none
};

}  // namespace inkling
