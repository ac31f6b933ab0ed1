#pragma once
// The public parameters of a round, their one byte encoding, and the context that binds every key,
// signature and share to them.
//
// The encoding is fixed-width little-endian with no optional field, so equal configs have equal
// bytes. Fractions are parts per million: both sides then compute floor(gamma n) exactly.

#include <array>
#include <cstdint>

#include "federated/secagg/crypto.h"

namespace inkling::secagg {

using TaskId = std::array<std::uint8_t, 16>;

inline constexpr std::uint32_t kCohortMin = 2;
inline constexpr std::uint32_t kCohortMax = 2000;  // the roster is sent whole
inline constexpr std::uint32_t kPpm = 1'000'000;
inline constexpr std::uint32_t kRingBitsMin = 8;
inline constexpr std::uint32_t kRingBitsMax = 62;
inline constexpr std::uint64_t kDimensionMax = std::uint64_t{1} << 28;
inline constexpr std::uint32_t kMetricsMax = 64;
inline constexpr std::uint32_t kRotationBlockMin = 16;
inline constexpr std::uint32_t kRotationBlockMax = 1 << 20;
inline constexpr std::uint32_t kCompleteGraphDefault = 128;
// Of one client, in quantisation steps. Below the smallest, sums of discrete Gaussians are not
// discrete Gaussians; the largest is what the sampler draws exactly.
inline constexpr double kNoiseSigmaMin = 3.0;
inline constexpr double kNoiseSigmaMax = 0x1p20;

// kSemiHonest: the server follows the protocol and tries to learn more from what it sees.
// kSemiMalicious: it may deviate once the keys are out; the threshold is raised so that two
// survivor lists can never both be answered enough. kStrict: besides, nobody releases a share
// before seeing the signed survivor set of enough others.
enum class Mode : std::uint8_t { kSemiHonest = 1, kSemiMalicious = 2, kStrict = 3 };

enum class WeightMode : std::uint8_t { kUniform = 1, kByExamples = 2 };
enum class Noise : std::uint8_t { kNone = 0, kDiscreteGaussian = 1, kSkellam = 2 };

struct Config {
  std::uint32_t n_min = kCohortMin;  // fewest clients in U1, U2 and U3
  std::uint32_t n_max = 100;
  std::uint32_t gamma_ppm = 0;  // corrupt fraction that the graph must stand
  std::uint32_t delta_ppm = 0;  // drop-out fraction that the graph must stand
  Mode mode = Mode::kSemiHonest;
  Suite suite = Suite::kAes128Ctr;
  std::uint32_t complete_graph_max = kCompleteGraphDefault;  // cohorts up to this use every pair
  std::uint32_t ring_bits = 32;
  std::uint64_t dimension = 1;  // model coordinates
  std::uint32_t metrics = 0;    // masked metric sums
  double scale = 1.0;           // quantisation steps per unit
  double clip_l2 = 1.0;
  double metric_clip = 1.0;  // metrics lie in [-metric_clip, metric_clip]
  bool rotate = false;
  std::uint32_t rotation_block = 4096;  // power of two
  WeightMode weight_mode = WeightMode::kUniform;
  std::uint32_t weight_max = 1;
  Noise noise = Noise::kNone;  // that every client adds to its model coordinates
  double noise_sigma = 0.0;    // of one client, in steps; 0 without noise
  std::array<std::uint32_t, 5> phase_ms = {60'000, 60'000, 600'000, 60'000, 60'000};

  // Model coordinates in the ring: padded to whole rotation blocks when rotating.
  std::uint64_t ring_dimension() const;
  // What a client feeds its machine: model coordinates, weight, metrics.
  std::uint64_t input_length() const { return ring_dimension() + 1 + metrics; }
  // What travels masked: the input and the machine's own coordinate, count = 1.
  std::uint64_t masked_length() const { return input_length() + 1; }
  // Largest magnitude of a quantised model or metric coordinate.
  std::uint64_t quantised_max() const;
  std::uint64_t ring_mask() const { return (std::uint64_t{1} << ring_bits) - 1; }
};

// kInvalidArgument naming the first field out of range; in particular when n_max clients' largest
// coordinates, weights or counts could wrap the ring.
Result<void> check_config(const Config& config);

Bytes encode_config(const Config& config);
// kCorrupt for a wrong size or flag; otherwise as check_config.
Result<Config> decode_config(ByteSpan bytes);

// One attempt at one round of one task.
struct Attempt {
  std::uint64_t round = 0;
  std::uint32_t attempt = 0;
  auto operator<=>(const Attempt&) const = default;
};

// What a context is the hash of, besides the config's bytes.
struct RoundIdentity {
  TaskId task{};
  Attempt attempt;
  Hash plan_hash{};
  Hash model_hash{};  // of the model bytes that the client trains on
  Hash server_nonce{};
};

// ctx: SHA-256 over "fl-sa/1/ctx", the identity's fields and the config bytes' digest.
Hash context_of(const RoundIdentity& identity, ByteSpan config_bytes);

}  // namespace inkling::secagg
