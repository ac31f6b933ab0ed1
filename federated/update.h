#pragma once
// From a model delta to ring values and back: the client's stage and the server's, a pair.
//
//   client: weight -> L2 clip -> (rotation) -> scale -> stochastic rounding -> (noise) -> Z_{2^b}
//   server: Z_{2^b} -> signed -> 1/scale -> (rotation undone) -> divided by the summed weight
//
// A client's ring vector is its model coordinates, its weight, then its metrics: all of it travels
// masked, so the server learns sums alone. Rounding is unbiased: E[decode(encode(x))] = x for an
// update within the clip. check_config guarantees that n_max clients cannot wrap the ring.
//
// In a round with noise every client adds its share of it to every coordinate, and rounds so that
// its integer vector is no longer than rounded_norm_max (round_privacy.h says what that promises).
// The noise has mean zero: the server has nothing to undo.

#include <cstdint>
#include <span>
#include <vector>

#include "federated/secagg/config.h"

namespace inkling::federated {

struct ClientUpdate {
  std::span<const float> delta;     // f32[config.dimension], finite
  std::uint32_t weight = 1;         // 0..weight_max; 1 for uniform weights
  std::span<const double> metrics;  // f64[config.metrics]; clamped to +-metric_clip
};

// Where an update's randomness comes from. Rounding may be seeded in an experiment that has to be
// reproducible; noise from a seed that somebody knows protects nobody.
struct UpdateRandomness {
  UpdateRandomness(secagg::EntropySource& both) : rounding(both), noise(both) {}  // NOLINT
  UpdateRandomness(secagg::EntropySource& rounding_source, secagg::EntropySource& noise_source)
      : rounding(rounding_source), noise(noise_source) {}
  secagg::EntropySource& rounding;
  secagg::EntropySource& noise;
};

// Ring values for Client::set_input: u64[config.input_length()]. ctx is Client::context().
// kInvalidArgument for a wrong length, a weight out of range or a value that is not finite.
Result<std::vector<std::uint64_t>> encode_update(const secagg::Config& config,
                                                 const secagg::Hash& ctx,
                                                 const ClientUpdate& update,
                                                 const UpdateRandomness& randomness);

struct MeanUpdate {
  std::vector<float> delta;         // f32[config.dimension], the weighted mean
  std::uint64_t weight_sum = 0;     // of the clients' integer weights
  std::vector<double> metric_sums;  // f64[config.metrics]
};

// From RoundOutcome::sum over `clients` clients. kInvalidArgument for a wrong length; kProtocol
// when the weights sum to nothing, or to more than so many clients can have.
Result<MeanUpdate> decode_sum(const secagg::Config& config, const secagg::Hash& ctx,
                              std::span<const std::uint64_t> sum, std::uint32_t clients);

}  // namespace inkling::federated
