#include "federated/update.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "federated/privacy/discrete_gaussian.h"
#include "federated/privacy/skellam.h"
#include "federated/rotation.h"
#include "federated/round_privacy.h"

namespace inkling::federated {

namespace {

// Uniform fractions in [0, 1) from a keystream seeded once.
class Fractions {
 public:
  static Result<Fractions> create(secagg::EntropySource& entropy) {
    secagg::StreamKey key;
    INK_CHECK_OK(entropy.fill(key.material.writable()));
    return Fractions(key);
  }
  double next() {
    if (used_ == words_.size()) {
      stream_.fill({reinterpret_cast<std::uint8_t*>(words_.data()), sizeof(words_)});
      used_ = 0;
    }
    return words_[used_++] * 0x1p-32;
  }

 private:
  explicit Fractions(const secagg::StreamKey& key) : stream_(key) {}
  secagg::Keystream stream_;
  std::array<std::uint32_t, 1024> words_{};
  std::size_t used_ = 1024;
};

// floor(x + u) is x rounded up with probability frac(x). The bound only cuts float error: clipped
// values are inside it, and far inside 63 bits. (Spelt out because std::floor is a call where the
// instruction set that the build may assume has none.)
std::int64_t round_at_random(double x, std::int64_t bound, Fractions& random) {
  const double y = x + random.next();
  const auto towards_zero = static_cast<std::int64_t>(y);
  const std::int64_t floor = towards_zero - (static_cast<double>(towards_zero) > y ? 1 : 0);
  return std::clamp(floor, -bound, bound);
}

double from_ring(std::uint64_t value, const secagg::Config& config) {
  const unsigned unused = 64 - config.ring_bits;
  return static_cast<double>(static_cast<std::int64_t>(value << unused) >> unused);
}

Result<void> check_update(const secagg::Config& config, const ClientUpdate& update, double square) {
  if (update.delta.size() != config.dimension || update.metrics.size() != config.metrics) {
    return fail(ErrorCode::kInvalidArgument, "update: ", update.delta.size(), " coordinates and ",
                update.metrics.size(), " metrics, expected ", config.dimension, " and ",
                config.metrics);
  }
  const bool uniform = config.weight_mode == secagg::WeightMode::kUniform;
  if (update.weight > config.weight_max || (uniform && update.weight != 1)) {
    return fail(ErrorCode::kInvalidArgument, "update: weight ", update.weight, ", expected ",
                uniform ? 1 : 0, "..", config.weight_max);
  }
  // Squares of finite floats, and as many sums of them as fit a machine, are finite in double.
  const bool finite =
      std::isfinite(square) && std::all_of(update.metrics.begin(), update.metrics.end(),
                                           [](double v) { return std::isfinite(v); });
  if (!finite) return fail(ErrorCode::kInvalidArgument, "update: a value is not finite");
  return {};
}

// In four sums, which do not wait for each other.
double square_of(std::span<const float> values) {
  std::array<double, 4> sums{};
  std::size_t i = 0;
  for (; i + sums.size() <= values.size(); i += sums.size()) {
    for (std::size_t k = 0; k < sums.size(); ++k)
      sums[k] += static_cast<double>(values[i + k]) * values[i + k];
  }
  for (; i < values.size(); ++i) sums[0] += static_cast<double>(values[i]) * values[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// The delta, whose square is given, times w / W_max, shrunk to norm C if it is longer, padded to
// ring_dimension().
std::vector<float> weigh_and_clip(const secagg::Config& config, const ClientUpdate& update,
                                  double square) {
  double factor = static_cast<double>(update.weight) / config.weight_max;
  const double norm = std::sqrt(square) * factor;
  if (norm > config.clip_l2) factor *= config.clip_l2 / norm;
  std::vector<float> out(config.ring_dimension(), 0.0f);
  std::transform(update.delta.begin(), update.delta.end(), out.begin(),
                 [&](float v) { return static_cast<float>(v * factor); });
  return out;
}

// The update in steps of 1 / scale, in two's complement. With noise the rounding is drawn again
// until the norm is what the accountant assumes, which takes less than two draws on average.
Result<void> quantise(const secagg::Config& config, std::span<const float> flat, Fractions& random,
                      std::span<std::uint64_t> steps) {
  constexpr int kDrawsMax = 200;
  const auto bound = static_cast<std::int64_t>(config.quantised_max());
  const double scale = config.scale;
  const bool is_noisy = config.noise != secagg::Noise::kNone;
  const double norm_max = is_noisy ? rounded_norm_max(config) : 0;
  for (int draw = 0; draw < kDrawsMax; ++draw) {
    double square = 0;
    for (std::size_t i = 0; i < flat.size(); ++i) {
      const std::int64_t step = round_at_random(flat[i] * scale, bound, random);
      steps[i] = static_cast<std::uint64_t>(step);
      if (is_noisy) square += static_cast<double>(step) * static_cast<double>(step);
    }
    if (!is_noisy || square <= norm_max * norm_max) return {};
  }
  return fail(ErrorCode::kInvalidArgument, "update: no rounding within the norm of ", norm_max,
              " steps in ", kDrawsMax, " draws");
}

Result<void> add_noise(const secagg::Config& config, std::span<std::uint64_t> steps,
                       secagg::EntropySource& entropy) {
  if (config.noise == secagg::Noise::kNone) return {};
  INK_TRY(privacy::RandomBits bits, privacy::RandomBits::create(entropy));
  const auto add = [&](const auto& noise) {
    for (std::uint64_t& step : steps) step += static_cast<std::uint64_t>(noise.sample(bits));
  };
  if (config.noise == secagg::Noise::kSkellam) {
    INK_TRY(const auto noise,
            privacy::SkellamNoise::create(config.noise_sigma * config.noise_sigma));
    add(noise);
  } else {
    INK_TRY(const auto noise, privacy::DiscreteGaussian::create(config.noise_sigma));
    add(noise);
  }
  return {};
}

}  // namespace

Result<std::vector<std::uint64_t>> encode_update(const secagg::Config& config,
                                                 const secagg::Hash& ctx,
                                                 const ClientUpdate& update,
                                                 const UpdateRandomness& randomness) {
  INK_CHECK_OK(secagg::check_config(config));
  const double square = square_of(update.delta);
  INK_CHECK_OK(check_update(config, update, square));
  INK_TRY(Fractions random, Fractions::create(randomness.rounding));
  std::vector<float> flat = weigh_and_clip(config, update, square);
  if (config.rotate) rotate(flat, config.rotation_block, ctx);
  std::vector<std::uint64_t> ring(config.input_length());
  const std::span steps = std::span(ring).first(flat.size());
  INK_CHECK_OK(quantise(config, flat, random, steps));
  INK_CHECK_OK(add_noise(config, steps, randomness.noise));
  ring[flat.size()] = update.weight;
  const auto bound = static_cast<std::int64_t>(config.quantised_max());
  for (std::size_t i = 0; i < update.metrics.size(); ++i) {
    const double clamped = std::clamp(update.metrics[i] / config.metric_clip, -1.0, 1.0);
    ring[flat.size() + 1 + i] = static_cast<std::uint64_t>(
        round_at_random(clamped * static_cast<double>(bound), bound, random));
  }
  const std::uint64_t mask = config.ring_mask();
  for (std::uint64_t& value : ring) value &= mask;
  return ring;
}

Result<MeanUpdate> decode_sum(const secagg::Config& config, const secagg::Hash& ctx,
                              std::span<const std::uint64_t> sum, std::uint32_t clients) {
  INK_CHECK_OK(secagg::check_config(config));
  if (sum.size() != config.input_length()) {
    return fail(ErrorCode::kInvalidArgument, "sum: ", sum.size(), " values, expected ",
                config.input_length());
  }
  const std::uint64_t ring_dimension = config.ring_dimension();
  const std::uint64_t weight_sum = sum[ring_dimension];
  if (weight_sum == 0 || weight_sum > std::uint64_t{clients} * config.weight_max) {
    return fail(ErrorCode::kProtocol, "sum: weights add up to ", weight_sum, " for ", clients,
                " clients, expected 1..", std::uint64_t{clients} * config.weight_max);
  }
  MeanUpdate mean;
  mean.weight_sum = weight_sum;
  const double step = config.weight_max / (config.scale * static_cast<double>(weight_sum));
  mean.delta.reserve(ring_dimension);
  for (const std::uint64_t v : sum.first(ring_dimension)) {
    mean.delta.push_back(static_cast<float>(from_ring(v, config) * step));
  }
  if (config.rotate) unrotate(mean.delta, config.rotation_block, ctx);
  mean.delta.resize(config.dimension);
  const double metric_step = config.metric_clip / static_cast<double>(config.quantised_max());
  for (const std::uint64_t v : sum.last(config.metrics)) {
    mean.metric_sums.push_back(from_ring(v, config) * metric_step);
  }
  return mean;
}

}  // namespace inkling::federated
