#include "server-sim/aggregator/server_optimizer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace inkling {

namespace {

constexpr std::array<std::string_view, 5> kNames = {"fedavg", "fedavgm", "fedadagrad", "fedadam",
                                                    "fedyogi"};
constexpr std::uint32_t kStateVersion = 1;

bool has_momentum(ServerRule rule) { return rule != ServerRule::kFedAvg; }
bool is_adaptive(ServerRule rule) { return rule >= ServerRule::kFedAdagrad; }

Result<void> check(const char* field, double value, bool holds) {
  if (holds && std::isfinite(value)) return {};
  return fail(ErrorCode::kInvalidArgument, "server optimizer: ", field, " is ", value,
              ", which is out of its range");
}

double next_scale(const ServerOptimizerSpec& spec, double v, double d) {
  const double square = d * d;
  switch (spec.rule) {
    case ServerRule::kFedAdagrad:
      return v + square;
    case ServerRule::kFedAdam:
      return spec.decay * v + (1 - spec.decay) * square;
    default:
      return v - (1 - spec.decay) * square * (v > square ? 1.0 : v < square ? -1.0 : 0.0);
  }
}

}  // namespace

std::string_view server_rule_name(ServerRule rule) {
  return kNames[static_cast<std::size_t>(rule)];
}

Result<ServerRule> parse_server_rule(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found != kNames.end()) return static_cast<ServerRule>(found - kNames.begin());
  return fail(ErrorCode::kInvalidArgument, "server optimizer: ", name,
              " is not one of fedavg, fedavgm, fedadagrad, fedadam and fedyogi");
}

ServerOptimizer::ServerOptimizer(const ServerOptimizerSpec& spec, std::size_t parameters)
    : spec_(spec), parameters_(parameters) {
  if (has_momentum(spec.rule)) momentum_.resize(parameters);
  if (is_adaptive(spec.rule)) scale_.assign(parameters, static_cast<float>(spec.tau * spec.tau));
}

Result<ServerOptimizer> ServerOptimizer::create(const ServerOptimizerSpec& spec,
                                                std::size_t parameters) {
  INK_CHECK_OK(check("rate", spec.rate, spec.rate > 0));
  INK_CHECK_OK(check("momentum", spec.momentum, spec.momentum >= 0 && spec.momentum < 1));
  INK_CHECK_OK(check("decay", spec.decay, spec.decay > 0 && spec.decay < 1));
  INK_CHECK_OK(check("tau", spec.tau, spec.tau > 0));
  return ServerOptimizer(spec, parameters);
}

Result<void> ServerOptimizer::step(std::span<float> parameters, std::span<const float> mean_delta,
                                   double factor) {
  if (parameters.size() != parameters_ || mean_delta.size() != parameters_) {
    return fail(ErrorCode::kInvalidArgument, "server optimizer: ", parameters.size(),
                " parameters and ", mean_delta.size(), " deltas, expected ", parameters_);
  }
  if (!std::all_of(mean_delta.begin(), mean_delta.end(), [](float d) { return std::isfinite(d); }))
    return fail(ErrorCode::kInvalidArgument, "server optimizer: a delta is not finite");
  for (std::size_t i = 0; i < parameters_; ++i) {
    const double d = mean_delta[i];
    double move = d;
    if (has_momentum(spec_.rule)) {
      const double share = is_adaptive(spec_.rule) ? 1 - spec_.momentum : 1;
      momentum_[i] = static_cast<float>(spec_.momentum * momentum_[i] + share * d);
      move = momentum_[i];
    }
    if (is_adaptive(spec_.rule)) {
      scale_[i] = static_cast<float>(next_scale(spec_, scale_[i], d));
      move /= std::sqrt(static_cast<double>(scale_[i])) + spec_.tau;
    }
    parameters[i] = static_cast<float>(parameters[i] + factor * spec_.rate * move);
  }
  return {};
}

Bytes ServerOptimizer::save() const {
  ByteWriter out;
  out.u32(kStateVersion);
  out.u8(static_cast<std::uint8_t>(spec_.rule));
  out.u64(parameters_);
  for (const auto* values : {&momentum_, &scale_}) {
    for (const float v : *values) out.u32(std::bit_cast<std::uint32_t>(v));
  }
  return out.take();
}

Result<void> ServerOptimizer::load(ByteSpan state) {
  ByteReader in(state);
  const bool fits = in.u32() == kStateVersion && in.u8() == static_cast<std::uint8_t>(spec_.rule) &&
                    in.u64() == parameters_;
  std::vector<float> momentum(momentum_.size()), scale(scale_.size());
  bool sound = fits && in.remaining() == 4 * (momentum.size() + scale.size());
  for (auto* values : {&momentum, &scale}) {
    for (float& v : *values) {
      if (!sound) break;
      v = std::bit_cast<float>(in.u32());
      sound = std::isfinite(v) && (values == &momentum || v >= 0);
    }
  }
  if (!sound) {
    return fail(ErrorCode::kCorrupt, "server optimizer: ", state.size(),
                " bytes that are not the state of ", server_rule_name(spec_.rule), " over ",
                parameters_, " parameters");
  }
  momentum_ = std::move(momentum);
  scale_ = std::move(scale);
  return {};
}

}  // namespace inkling
