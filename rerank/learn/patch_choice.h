#pragma once
// Chooses one person's patch: how strong the pull to the global weights should be, and whether
// there should be a patch at all.
//
// The patch changes the last, linear layer of a scorer, so it is a conditional logit over that
// layer's input (rerank/conditional_logit.h), fitted exactly by Newton's method in well under a
// millisecond. The pull is chosen on the person's own slates, in time order: each of the latest
// slates is predicted from those before it, under every pull of the grid. A patch is kept only if
// its held-back loss beats that of the global weights by a margin, because a patch that cannot show
// a gain on its owner's past does harm on average (a guard for those with much history, whom a
// patch can hurt, and those with little, whose gain is luck).

#include <optional>

#include "rerank/encoded_slate.h"
#include "rerank/patch.h"

namespace inkling {

struct PatchChoiceSpec {
  std::vector<double> pulls = {100, 300, 1000, 3000};  // > 0
  std::size_t held_back_max = 8;                       // slates predicted, the latest ones
  std::size_t slates_min = 4;                          // with fewer there is nothing to choose by
  // The held-back gain must be above margin nats in all and above confidence standard errors.
  double margin = 0.5;
  double confidence = 1.5;
};

struct PatchChoice {
  std::optional<std::vector<float>> delta{};  // to add to the head; nothing: keep the global one
  double pull = 0;                            // the best of the grid, also when nothing is kept
  double gain = 0;                            // nats a held-back slate, of that pull
  std::vector<double> held_back_nll{};        // mean, by pull; empty with too few slates
  double global_nll = 0;                      // mean on the same slates
  std::size_t held_back = 0;                  // slates
};

// `slates` hold the head's input, f32[alternatives, head.size()], in time order. kInvalidArgument:
// slates that check_slates() refuses, or a grid that is empty or not positive.
// kFailedPrecondition: no optimum (features that are not finite).
Result<PatchChoice> choose_patch(std::span<const EncodedSlate> slates, std::span<const float> head,
                                 const PatchChoiceSpec& spec = {});

// The delta for a given pull.
Result<std::vector<float>> fit_head_delta(std::span<const EncodedSlate> slates,
                                          std::span<const float> head, double pull);

}  // namespace inkling
