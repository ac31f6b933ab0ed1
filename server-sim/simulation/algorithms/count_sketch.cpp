// FetchSGD (Rothchild et al., "FetchSGD: Communication-Efficient Federated Learning with
// Sketching", ICML 2020), without momentum: updates travel as count sketches, which are linear, so
// that the sum of sketches is the sketch of the sum.
//
//   client   uploads the sketch of its delta: `rows` times, each coordinate is added with a random
//            sign to a random one of `columns` cells
//   server   E += mean sketch; estimates each coordinate of E as the median of its rows, moves the
//            model along the largest k of them by its rule, and takes their sketch out of E, which
//            keeps the rest for later rounds
//
// Cells are divided by sqrt(rows), so that a sketch is about as long as what it is of.

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "runtime/base/rng.h"
#include "server-sim/simulation/algorithm.h"
#include "server-sim/simulation/algorithms/state_bytes.h"

namespace inkling {

namespace {

class CountSketch final : public Algorithm {
 public:
  CountSketch(const AlgorithmSpec& spec, const AlgorithmContext& context, ServerOptimizer optimizer)
      : Algorithm(context, std::move(optimizer)),
        rows_(spec.sketch_rows),
        columns_(spec.sketch_columns),
        moved_(std::clamp<std::size_t>(static_cast<std::size_t>(std::lround(
                                           spec.keep * static_cast<double>(context.parameters))),
                                       1, context.parameters)),
        scale_(1 / std::sqrt(static_cast<float>(rows_))),
        error_(rows_ * columns_, 0.0f) {
    Rng rng(context.seed, "count sketch");
    for (std::size_t i = 0; i < rows_ * parameters_; ++i) {
      cells_.push_back(static_cast<std::uint32_t>(rng.below(columns_)));
      signs_.push_back(rng.below(2) == 0 ? 1.0f : -1.0f);
    }
  }

  std::size_t upload_length() const override { return error_.size(); }

  void upload(const ClientTurn&, std::span<float> update, std::span<double>) override {
    const std::vector<float> delta(update.begin(),
                                   update.begin() + static_cast<std::ptrdiff_t>(parameters_));
    std::fill(update.begin(), update.end(), 0.0f);
    for (std::size_t i = 0; i < parameters_; ++i) add_to(update, i, delta[i]);
  }

  Result<void> merge(const RoundMean& mean, std::span<float> parameters) override {
    for (std::size_t i = 0; i < error_.size(); ++i) error_[i] += mean.upload[i];
    std::vector<float> estimate(parameters_);
    for (std::size_t i = 0; i < parameters_; ++i) estimate[i] = estimate_of(i);
    std::vector<std::uint32_t> order(parameters_);
    std::iota(order.begin(), order.end(), std::uint32_t{0});
    const auto larger = [&](std::uint32_t a, std::uint32_t b) {
      const float x = std::abs(estimate[a]), y = std::abs(estimate[b]);
      return x > y || (x == y && a < b);
    };
    const auto end = order.begin() + static_cast<std::ptrdiff_t>(moved_);
    std::partial_sort(order.begin(), end, order.end(), larger);
    std::vector<float> delta(parameters_, 0.0f);
    std::for_each(order.begin(), end, [&](std::uint32_t i) {
      delta[i] = estimate[i];
      add_to(error_, i, -estimate[i]);
    });
    return optimizer_.step(parameters, delta);
  }

  Bytes save() const override {
    ByteWriter error;
    for (const float v : error_) error.u32(std::bit_cast<std::uint32_t>(v));
    return join_states(error.bytes(), optimizer_.save());
  }
  Result<void> load(ByteSpan bytes) override {
    INK_TRY(const auto parts, split_states(bytes));
    ByteReader error(parts.first);
    for (float& v : error_) v = std::bit_cast<float>(error.u32());
    if (!error.finished())
      return fail(ErrorCode::kCorrupt, "count_sketch: a state of ", parts.first.size(), " bytes");
    return optimizer_.load(parts.second);
  }

 private:
  void add_to(std::span<float> sketch, std::size_t coordinate, float value) const {
    for (std::size_t r = 0; r < rows_; ++r) {
      const std::size_t at = r * parameters_ + coordinate;
      sketch[r * columns_ + cells_[at]] += signs_[at] * scale_ * value;
    }
  }
  float estimate_of(std::size_t coordinate) const {
    std::vector<float> values(rows_);
    for (std::size_t r = 0; r < rows_; ++r) {
      const std::size_t at = r * parameters_ + coordinate;
      values[r] = signs_[at] * error_[r * columns_ + cells_[at]] / scale_;
    }
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(rows_ / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
  }

  std::size_t rows_, columns_, moved_;
  float scale_;
  std::vector<float> error_;          // E, f32[rows, columns]
  std::vector<std::uint32_t> cells_;  // u32[rows, parameters]
  std::vector<float> signs_;          // f32[rows, parameters]
};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_count_sketch(const AlgorithmSpec& spec,
                                                     const AlgorithmContext& context,
                                                     ServerOptimizer optimizer) {
  const bool fits = spec.sketch_rows % 2 == 1 && spec.sketch_columns > 0 && spec.keep > 0 &&
                    spec.keep <= 1 && spec.sketch_columns <= std::size_t{1} << 24;
  if (!fits) {
    return fail(ErrorCode::kInvalidArgument, "count_sketch: ", spec.sketch_rows, " rows of ",
                spec.sketch_columns, " columns, ", spec.keep,
                " of the coordinates: expected an odd number, 1 to 2^24, above 0 up to 1");
  }
  return std::make_unique<CountSketch>(spec, context, std::move(optimizer));
}

}  // namespace inkling
