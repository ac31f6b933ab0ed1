// Random-k with a shared seed and error feedback (Stich et al., "Sparsified SGD with Memory",
// NeurIPS 2018): the server draws which k coordinates a round moves, the same for all clients, so
// that a sum carries them.
//
//   client   adds to its delta what earlier rounds left behind; uploads the k coordinates, and
//   keeps
//            the others for later
//   server   w by its rule on the mean of those k, zero elsewhere

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/base/rng.h"
#include "server-sim/simulation/algorithms/remembering.h"

namespace inkling {

namespace {

class RandomK final : public Remembering {
 public:
  RandomK(const AlgorithmSpec& spec, const AlgorithmContext& context, ServerOptimizer optimizer)
      : Remembering(context, std::move(optimizer), context.parameters),
        seed_(context.seed),
        places_(std::clamp<std::size_t>(static_cast<std::size_t>(std::lround(
                                            spec.keep * static_cast<double>(context.parameters))),
                                        1, context.parameters)) {}

  std::size_t upload_length() const override { return places_.size(); }

  void begin_round(std::uint64_t round) override {
    std::vector<std::uint32_t> all(parameters_);
    std::iota(all.begin(), all.end(), std::uint32_t{0});
    Rng rng(seed_, "random k", round);
    for (std::size_t i = 0; i < places_.size(); ++i)
      std::swap(all[i], all[i + rng.below(all.size() - i)]);
    std::copy_n(all.begin(), places_.size(), places_.begin());
    std::sort(places_.begin(), places_.end());
  }

  void upload(const ClientTurn& turn, std::span<float> update, std::span<double>) override {
    std::vector<float> left(parameters_, 0.0f);
    own_.get(turn.client, left);
    for (std::size_t i = 0; i < parameters_; ++i) left[i] += update[i];
    for (std::size_t i = 0; i < places_.size(); ++i) {
      update[i] = left[places_[i]];
      left[places_[i]] = 0;
    }
    own_.put(turn.client, left);
  }

 protected:
  Result<void> step(const RoundMean& mean, std::span<float> parameters) override {
    std::vector<float> delta(parameters_, 0.0f);
    for (std::size_t i = 0; i < places_.size(); ++i) delta[places_[i]] = mean.upload[i];
    return optimizer_.step(parameters, delta);
  }

 private:
  std::uint64_t seed_;
  std::vector<std::uint32_t> places_;  // of this round, ascending
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_randomk(const AlgorithmSpec& spec,
                                                const AlgorithmContext& context,
                                                ServerOptimizer optimizer) {
  if (!(spec.keep > 0 && spec.keep <= 1))
    return fail(ErrorCode::kInvalidArgument, "randomk: keeps ", spec.keep,
                " of the coordinates, expected above 0 up to 1");
  return std::make_unique<RandomK>(spec, context, std::move(optimizer));
}

}  // namespace inkling
