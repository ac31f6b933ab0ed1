#pragma once
// Augmentation: a picture changed in ways that keep what it shows, anew in every epoch.

#include <span>

#include "autograd/data/picture.h"
#include "runtime/base/rng.h"

namespace inkling {

struct Augmentation {
  bool flip = false;       // left and right, half of the time
  std::size_t shift = 0;   // moved by up to this many pixels each way; zeros come in
  double color = 0;        // brightness and contrast changed by up to this share, 0 to 1
  std::size_t cutout = 0;  // a square of this size is blanked (DeVries & Taylor, arXiv 1708.04552)

  bool any() const { return flip || shift > 0 || color > 0 || cutout > 0; }
};

// Writes the changed picture, u8[size.bytes()], to `to`. Draws the same numbers from `rng` whatever
// the picture.
void augment(ByteSpan picture, const PictureSize& size, const Augmentation& how, Rng& rng,
             std::span<std::uint8_t> to);

// mixup (Zhang et al., ICLR 2018): a share drawn from Beta(alpha, alpha), alpha > 0, and `count`
// rows of one size, end to end, each mixed with the one after it (the last with the first): row_i'
// = share row_i + (1 - share) row_(i + 1). Inputs and targets of a batch are mixed alike.
double draw_mixup(double alpha, Rng& rng);
void mix_rows(std::span<float> rows, std::size_t count, double share);

}  // namespace inkling
