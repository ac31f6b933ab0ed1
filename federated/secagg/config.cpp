#include "federated/secagg/config.h"

#include <bit>
#include <cmath>

namespace inkling::secagg {

namespace {

constexpr std::uint32_t kConfigVersion = 1;

template <typename T>
Result<void> check_range(const char* field, T value, T low, T high) {
  if (value >= low && value <= high) return {};  // false for NaN
  return fail(ErrorCode::kInvalidArgument, "config: ", field, " is ", value, ", expected ", low,
              "..", high);
}

Result<void> check_quantiser(const Config& c) {
  constexpr double kTiny = 1e-30, kHuge = 1e30;
  INK_CHECK_OK(check_range("scale", c.scale, kTiny, kHuge));
  INK_CHECK_OK(check_range("clip_l2", c.clip_l2, kTiny, kHuge));
  INK_CHECK_OK(check_range("metric_clip", c.metric_clip, kTiny, kHuge));
  INK_CHECK_OK(
      check_range("rotation_block", c.rotation_block, kRotationBlockMin, kRotationBlockMax));
  if (!std::has_single_bit(c.rotation_block)) {
    return fail(ErrorCode::kInvalidArgument, "config: rotation_block is ", c.rotation_block,
                ", expected a power of two");
  }
  // Noise beyond twelve deviations of the sum wraps, with less than e^-72.
  const double noise = 12 * std::sqrt(double(c.n_max)) * c.noise_sigma;
  const double half_ring = std::ldexp(1.0, static_cast<int>(c.ring_bits) - 1);
  const double largest = std::max(std::ceil(c.scale * c.clip_l2), double(c.weight_max));
  if (!(double(c.n_max) * largest + noise < half_ring)) {
    return fail(ErrorCode::kInvalidArgument, "config: ring_bits is ", c.ring_bits,
                ", too few for n_max ", c.n_max, " times ", largest, " and noise up to ", noise);
  }
  return {};
}

// A round with noise hides sums of one kind only: coordinates that the clip bounds.
Result<void> check_noise(const Config& c) {
  INK_CHECK_OK(check_range("noise", int(c.noise), 0, 2));
  const bool noisy = c.noise != Noise::kNone;
  INK_CHECK_OK(check_range("noise_sigma", c.noise_sigma, noisy ? kNoiseSigmaMin : 0.0,
                           noisy ? kNoiseSigmaMax : 0.0));
  if (noisy && (c.metrics != 0 || c.weight_mode != WeightMode::kUniform)) {
    return fail(ErrorCode::kInvalidArgument, "config: noise with ", c.metrics,
                " metrics or weights by examples, expected neither");
  }
  return {};
}

}  // namespace

std::uint64_t Config::ring_dimension() const {
  if (!rotate) return dimension;
  return (dimension + rotation_block - 1) / rotation_block * rotation_block;
}

std::uint64_t Config::quantised_max() const {
  return static_cast<std::uint64_t>(std::ceil(scale * clip_l2));
}

Result<void> check_config(const Config& c) {
  INK_CHECK_OK(check_range("n_min", c.n_min, kCohortMin, kCohortMax));
  INK_CHECK_OK(check_range("n_max", c.n_max, c.n_min, kCohortMax));
  INK_CHECK_OK(check_range("gamma_ppm", c.gamma_ppm, 0u, kPpm - 1));
  INK_CHECK_OK(check_range("delta_ppm", c.delta_ppm, 0u, kPpm - 1));
  INK_CHECK_OK(check_range("mode", int(c.mode), 1, 3));
  INK_CHECK_OK(check_range("suite", int(c.suite), 1, 3));
  INK_CHECK_OK(check_range("complete_graph_max", c.complete_graph_max, 0u, kCohortMax));
  INK_CHECK_OK(check_range("ring_bits", c.ring_bits, kRingBitsMin, kRingBitsMax));
  INK_CHECK_OK(check_range("dimension", c.dimension, std::uint64_t{1}, kDimensionMax));
  INK_CHECK_OK(check_range("metrics", c.metrics, 0u, kMetricsMax));
  INK_CHECK_OK(check_range("weight_mode", int(c.weight_mode), 1, 2));
  INK_CHECK_OK(check_range("weight_max", c.weight_max, 1u, ~0u));
  if (c.weight_mode == WeightMode::kUniform && c.weight_max != 1) {
    return fail(ErrorCode::kInvalidArgument, "config: weight_max is ", c.weight_max,
                ", expected 1 for uniform weights");
  }
  INK_CHECK_OK(check_noise(c));
  for (const std::uint32_t ms : c.phase_ms) {
    constexpr std::uint32_t kPhaseMsMax = 7 * 24 * 3600 * 1000u;
    INK_CHECK_OK(check_range("phase_ms", ms, 1u, kPhaseMsMax));
  }
  return check_quantiser(c);
}

Bytes encode_config(const Config& c) {
  ByteWriter out;
  out.u32(kConfigVersion);
  out.u32(c.n_min);
  out.u32(c.n_max);
  out.u32(c.gamma_ppm);
  out.u32(c.delta_ppm);
  out.u8(static_cast<std::uint8_t>(c.mode));
  out.u8(static_cast<std::uint8_t>(c.suite));
  out.u32(c.complete_graph_max);
  out.u32(c.ring_bits);
  out.u64(c.dimension);
  out.u32(c.metrics);
  out.u64(std::bit_cast<std::uint64_t>(c.scale));
  out.u64(std::bit_cast<std::uint64_t>(c.clip_l2));
  out.u64(std::bit_cast<std::uint64_t>(c.metric_clip));
  out.u8(c.rotate ? 1 : 0);
  out.u32(c.rotation_block);
  out.u8(static_cast<std::uint8_t>(c.weight_mode));
  out.u32(c.weight_max);
  out.u8(static_cast<std::uint8_t>(c.noise));
  out.u64(std::bit_cast<std::uint64_t>(c.noise_sigma));
  for (const std::uint32_t ms : c.phase_ms) out.u32(ms);
  return out.take();
}

Result<Config> decode_config(ByteSpan bytes) {
  ByteReader in(bytes);
  Config c;
  const std::uint32_t version = in.u32();
  c.n_min = in.u32();
  c.n_max = in.u32();
  c.gamma_ppm = in.u32();
  c.delta_ppm = in.u32();
  c.mode = static_cast<Mode>(in.u8());
  c.suite = static_cast<Suite>(in.u8());
  c.complete_graph_max = in.u32();
  c.ring_bits = in.u32();
  c.dimension = in.u64();
  c.metrics = in.u32();
  c.scale = std::bit_cast<double>(in.u64());
  c.clip_l2 = std::bit_cast<double>(in.u64());
  c.metric_clip = std::bit_cast<double>(in.u64());
  const std::uint8_t rotate = in.u8();
  c.rotate = rotate == 1;
  c.rotation_block = in.u32();
  c.weight_mode = static_cast<WeightMode>(in.u8());
  c.weight_max = in.u32();
  c.noise = static_cast<Noise>(in.u8());
  c.noise_sigma = std::bit_cast<double>(in.u64());
  for (std::uint32_t& ms : c.phase_ms) ms = in.u32();
  if (!in.finished() || rotate > 1) {
    return fail(ErrorCode::kCorrupt, "config: ", bytes.size(),
                " bytes that are not one encoded config");
  }
  if (version != kConfigVersion) {
    return fail(ErrorCode::kUnsupported, "config: version ", version, ", expected ",
                kConfigVersion);
  }
  INK_CHECK_OK(check_config(c));
  return c;
}

Hash context_of(const RoundIdentity& identity, ByteSpan config_bytes) {
  ByteWriter out;
  out.text("fl-sa/1/ctx");
  out.raw(identity.task);
  out.u64(identity.attempt.round);
  out.u32(identity.attempt.attempt);
  out.raw(identity.plan_hash);
  out.raw(identity.model_hash);
  out.raw(hash_of({config_bytes}));
  out.raw(identity.server_nonce);
  return hash_of({out.bytes()});
}

}  // namespace inkling::secagg
