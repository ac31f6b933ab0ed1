#pragma once
// People whose choices follow a conditional logit with known tastes.

#include <cmath>

#include "rerank/encoded_slate.h"
#include "runtime/base/rng.h"

namespace inkling::synthetic {

inline constexpr std::size_t kWidth = 3;

inline FeatureSchema schema(std::uint32_t version = 1) {
  return *FeatureSchema::create(version, {{.name = "a"}, {.name = "b"}, {.name = "c"}});
}

inline Candidate candidate(ItemId item, double a, double b = 0, double c = 0) {
  return {.item = item,
          .features = {
              {.name = "a", .value = a}, {.name = "b", .value = b}, {.name = "c", .value = c}}};
}

// A slate of normal features whose choice is drawn from softmax(features . taste).
inline EncodedSlate draw_slate(Rng& rng, std::span<const double> taste, std::size_t alternatives,
                               RequestId request = 1) {
  EncodedSlate slate{.request = request, .alternatives = alternatives};
  double best = -1e300;
  for (std::size_t i = 0; i < alternatives; ++i) {
    // Gumbel noise makes the largest utility a draw from the softmax.
    double utility = -std::log(-std::log(1 - rng.uniform()) + 1e-12);
    for (const double t : taste) {
      slate.features.push_back(static_cast<float>(rng.normal()));
      utility += t * static_cast<double>(slate.features.back());
    }
    if (utility > best) slate.chosen = {i};
    best = std::max(best, utility);
  }
  return slate;
}

inline std::vector<EncodedSlate> draw_slates(Rng& rng, std::span<const double> taste,
                                             std::size_t count, std::size_t alternatives = 5) {
  std::vector<EncodedSlate> slates;
  for (std::size_t i = 0; i < count; ++i)
    slates.push_back(draw_slate(rng, taste, alternatives, i + 1));
  return slates;
}

}  // namespace inkling::synthetic
