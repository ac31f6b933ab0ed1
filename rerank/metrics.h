#pragma once
// How good an order is: top-1, NDCG, MRR, NLL and GAUC over slates, with bootstrap intervals over
// users. Users, not slates, are resampled: slates of one person are not independent.

#include <span>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/rng.h"
#include "storage/behavior_log.h"

namespace inkling {

// A slate as a model scored it, in the server's order. relevant[i] != 0 marks what was chosen or
// clicked; a choice has exactly one such place.
struct ScoredSlate {
  UserId user = 0;
  std::vector<float> scores{};
  std::vector<std::uint8_t> relevant{};
};

enum class Metric {
  kTop1,  // 1 if the first place is relevant
  kNdcg,  // sum of relevant / log2(1 + rank) over the first k ranks, over its best value
  kMrr,   // 1 / rank of the first relevant place
  kNll,   // -log softmax(scores) of the relevant places, averaged over them; lower is better
  kAuc    // share of (relevant, other) pairs in the right order, ties half; with kPerItem: GAUC
};

// A slate's value and its weight in the mean. Slates in which the metric has no meaning (nothing
// relevant; for kAuc also everything relevant) have weight 0.
struct SlateValue {
  UserId user = 0;
  double value = 0;
  double weight = 0;
};

enum class Weighting { kPerSlate, kPerItem };  // kPerItem: by the number of impressions

struct MetricOptions {
  std::size_t k = 10;  // kNdcg: ranks that count
  Weighting weighting = Weighting::kPerSlate;
};

// One value a slate, in their order. A NaN score ranks last and makes its NLL infinite.
// kInvalidArgument: an empty slate, or scores and relevant of different lengths.
Result<std::vector<SlateValue>> evaluate(Metric metric, std::span<const ScoredSlate> slates,
                                         const MetricOptions& options = {});

struct Interval {
  double mean = 0;
  double low = 0, high = 0;  // 95 % percentile interval
  std::size_t users = 0;     // with some weight
};

inline constexpr int kResamples = 2000;

// The weighted mean and its interval. kInvalidArgument: no weight at all, or a value that is not
// finite.
Result<Interval> bootstrap_mean(std::span<const SlateValue> values, Rng& rng,
                                int resamples = kResamples);

// The interval of mean(a) - mean(b), where a[i] and b[i] are of one slate: both means are taken
// over the same users in every resample. kInvalidArgument also: users or weights that do not match.
Result<Interval> bootstrap_difference(std::span<const SlateValue> a, std::span<const SlateValue> b,
                                      Rng& rng, int resamples = kResamples);

}  // namespace inkling
