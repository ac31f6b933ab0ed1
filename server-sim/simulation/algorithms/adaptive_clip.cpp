// Adaptive clipping (Andrew et al., "Differentially Private Learning with Adaptive Clipping",
// NeurIPS 2021): the norm to which updates are clipped follows a quantile of the updates' norms.
//
//   client   shortens its delta to the norm C; as a metric, 1 if it was no longer than C, else 0
//   server   as FedAvg; C *= exp(-rate (share of those that were no longer - quantile)), up to
//            the clip of the updates, which the ring is made for
//
// Whether one client's delta was longer is only ever seen summed.

#include <algorithm>
#include <bit>
#include <cmath>

#include "server-sim/simulation/algorithm.h"
#include "server-sim/simulation/algorithms/state_bytes.h"

namespace inkling {

namespace {

class AdaptiveClip final : public Algorithm {
 public:
  AdaptiveClip(const AlgorithmSpec& spec, const AlgorithmContext& context,
               ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)),
        clip_(spec.clip_initial),
        clip_max_(context.clip_l2),
        quantile_(spec.clip_quantile),
        rate_(spec.clip_rate) {}

  std::size_t metric_count() const override { return 1; }

  void upload(const ClientTurn&, std::span<float> update, std::span<double> metrics) override {
    double square = 0;
    for (const float v : update) square += static_cast<double>(v) * v;
    const double norm = std::sqrt(square);
    metrics[0] = norm <= clip_ ? 1 : 0;
    if (norm <= clip_) return;
    const auto factor = static_cast<float>(clip_ / norm);
    for (float& v : update) v *= factor;
  }
  Result<void> merge(const RoundMean& mean, std::span<float> parameters) override {
    clip_ = std::min(clip_ * std::exp(-rate_ * (mean.metrics[0] - quantile_)), clip_max_);
    return optimizer_.step(parameters, mean.upload);
  }

  Bytes save() const override {
    ByteWriter clip;
    clip.u64(std::bit_cast<std::uint64_t>(clip_));
    return join_states(clip.bytes(), optimizer_.save());
  }
  Result<void> load(ByteSpan bytes) override {
    INK_TRY(const auto parts, split_states(bytes));
    ByteReader clip(parts.first);
    clip_ = std::bit_cast<double>(clip.u64());
    if (!clip.finished()) return fail(ErrorCode::kCorrupt, "adaptive_clip: no clip in its state");
    return optimizer_.load(parts.second);
  }

 private:
  double clip_, clip_max_, quantile_, rate_;
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_adaptive_clip(const AlgorithmSpec& spec,
                                                      const AlgorithmContext& context,
                                                      ServerOptimizer optimizer) {
  const bool fits = spec.clip_initial > 0 && spec.clip_initial <= context.clip_l2 &&
                    spec.clip_quantile > 0 && spec.clip_quantile < 1 && spec.clip_rate > 0;
  if (!fits) {
    return fail(ErrorCode::kInvalidArgument, "adaptive_clip: initial ", spec.clip_initial,
                ", quantile ", spec.clip_quantile, ", rate ", spec.clip_rate,
                ": expected above 0, the first up to update.clip = ", context.clip_l2,
                ", the second below 1");
  }
  return std::make_unique<AdaptiveClip>(spec, context, std::move(optimizer));
}

}  // namespace inkling
