#include "server-sim/aggregator/server_optimizer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace inkling {

namespace {

constexpr std::array<std::string_view, 5> kNames = {"fedavg", "fedavgm", "fedadagrad", "fedadam",
                                                    "fedyogi"};

bool is_adaptive(ServerRule rule) { return rule >= ServerRule::kFedAdagrad; }

double second_moment(const ServerOptimizerSpec& spec, double v, double d) {
  const double square = d * d;
  if (spec.rule == ServerRule::kFedAdagrad) return v + square;
  if (spec.rule == ServerRule::kFedAdam) return spec.beta2 * v + (1 - spec.beta2) * square;
  const double sign = v > square ? 1.0 : v < square ? -1.0 : 0.0;
  return v - (1 - spec.beta2) * square * sign;
}

}  // namespace

Result<ServerRule> server_rule_from(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found != kNames.end()) return static_cast<ServerRule>(found - kNames.begin());
  return fail(ErrorCode::kInvalidArgument, "server optimizer '", name,
              "': expected fedavg, fedavgm, fedadagrad, fedadam or fedyogi");
}

ServerOptimizer::ServerOptimizer(const ServerOptimizerSpec& spec, std::size_t parameters)
    : spec_(spec),
      first_(spec.rule == ServerRule::kFedAvg ? 0 : parameters, 0.0),
      second_(is_adaptive(spec.rule) ? parameters : 0, spec.tau * spec.tau) {}

void ServerOptimizer::step(std::span<const float> mean, std::span<float> parameters) {
  INK_INVARIANT(mean.size() == parameters.size());
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double d = mean[i];
    double move = d;
    if (spec_.rule == ServerRule::kFedAvgM) {
      move = first_[i] = spec_.momentum * first_[i] + d;
    } else if (is_adaptive(spec_.rule)) {
      first_[i] = spec_.momentum * first_[i] + (1 - spec_.momentum) * d;
      second_[i] = second_moment(spec_, second_[i], d);
      move = first_[i] / (std::sqrt(second_[i]) + spec_.tau);
    }
    parameters[i] += static_cast<float>(spec_.rate * move);
  }
}

Bytes ServerOptimizer::save() const {
  ByteWriter writer;
  writer.u8(static_cast<std::uint8_t>(spec_.rule));
  for (const auto* moments : {&first_, &second_}) {
    for (const double v : *moments) writer.u64(std::bit_cast<std::uint64_t>(v));
  }
  return writer.take();
}

Result<void> ServerOptimizer::load(ByteSpan bytes) {
  ByteReader reader(bytes);
  const bool same_rule = reader.u8() == static_cast<std::uint8_t>(spec_.rule);
  if (!same_rule || reader.remaining() != 8 * (first_.size() + second_.size())) {
    return fail(ErrorCode::kCorrupt, "server optimizer: a state of ", bytes.size(), " bytes",
                same_rule ? "" : " of another rule", ", expected ",
                1 + 8 * (first_.size() + second_.size()));
  }
  for (auto* moments : {&first_, &second_}) {
    for (double& v : *moments) v = std::bit_cast<double>(reader.u64());
  }
  return {};
}

}  // namespace inkling
