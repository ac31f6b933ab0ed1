#pragma once
// What a round's config promises about the privacy of one device: the bridge from the protocol's
// parameters to the accountant. Device and server both compute it, from the same bytes.

#include <optional>

#include "federated/privacy/mechanism.h"
#include "federated/secagg/config.h"

namespace inkling::federated {

// The largest L2 norm, in quantisation steps, of a clipped update after its stochastic rounding:
// what encode_update enforces when the round has noise (Kairouz, Liu and Steinke, ICML'21, with
// beta = e^-1/2).
double rounded_norm_max(const secagg::Config& config);

// The mechanism as which the round's noise counts, nullopt for a round without. It relies on the
// noise of ceil((1 - gamma) n_min) clients only: those that are lost or corrupt add nothing to the
// promise, and more survivors only add noise.
std::optional<privacy::Mechanism> mechanism_of(const secagg::Config& config);

}  // namespace inkling::federated
