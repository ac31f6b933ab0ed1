#include "autograd/data/augmentation.h"

#include <algorithm>
#include <cmath>

namespace inkling {

namespace {

using Offset = std::ptrdiff_t;

// -limit to limit
Offset draw_offset(Rng& rng, std::size_t limit) {
  return static_cast<Offset>(rng.below(2 * limit + 1)) - static_cast<Offset>(limit);
}

void blank_square(const PictureSize& size, std::size_t side, Rng& rng,
                  std::span<std::uint8_t> pixels) {
  const std::size_t middle_y = rng.below(size.height), middle_x = rng.below(size.width);
  const auto from = [&](std::size_t middle) { return middle - std::min(middle, side / 2); };
  const std::size_t y_end = std::min(size.height, middle_y + (side + 1) / 2);
  const std::size_t x_end = std::min(size.width, middle_x + (side + 1) / 2);
  for (std::size_t y = from(middle_y); y < y_end; ++y) {
    std::fill_n(
        pixels.begin() + static_cast<Offset>((y * size.width + from(middle_x)) * size.channels),
        (x_end - from(middle_x)) * size.channels, std::uint8_t{0});
  }
}

void change_color(double contrast, double brightness, std::span<std::uint8_t> pixels) {
  for (std::uint8_t& v : pixels) {
    const double changed = (v - 127.5) * (1 + contrast) + 127.5 + 255 * brightness;
    v = static_cast<std::uint8_t>(std::clamp(std::lround(changed), 0L, 255L));
  }
}

}  // namespace

void augment(ByteSpan picture, const PictureSize& size, const Augmentation& how, Rng& rng,
             std::span<std::uint8_t> to) {
  INK_INVARIANT(picture.size() == size.bytes() && to.size() == size.bytes());
  const bool mirrored = how.flip && rng.below(2) == 1;
  const Offset down = how.shift > 0 ? draw_offset(rng, how.shift) : 0;
  const Offset right = how.shift > 0 ? draw_offset(rng, how.shift) : 0;
  const auto height = static_cast<Offset>(size.height), width = static_cast<Offset>(size.width);
  const auto channels = static_cast<Offset>(size.channels);
  for (Offset y = 0; y < height; ++y) {
    for (Offset x = 0; x < width; ++x) {
      const Offset from_y = y - down, shifted = x - right;
      const Offset from_x = mirrored ? width - 1 - shifted : shifted;
      const auto out = to.begin() + (y * width + x) * channels;
      if (from_y < 0 || from_y >= height || from_x < 0 || from_x >= width) {
        std::fill_n(out, channels, std::uint8_t{0});
      } else {
        std::copy_n(picture.begin() + (from_y * width + from_x) * channels, channels, out);
      }
    }
  }
  if (how.color > 0) {
    const double contrast = how.color * (2 * rng.uniform() - 1);
    change_color(contrast, how.color * (rng.uniform() - 0.5), to);
  }
  if (how.cutout > 0) blank_square(size, how.cutout, rng, to);
}

namespace {

// Marsaglia & Tsang, "A simple method for generating gamma variables", 2000; below one by the power
// of a uniform number.
double draw_gamma(double shape, Rng& rng) {
  if (shape < 1) {
    const double larger = draw_gamma(shape + 1, rng);
    return larger * std::pow(1 - rng.uniform(), 1 / shape);
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = rng.normal(), u = 1 - rng.uniform();
    const double v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(u) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace

double draw_mixup(double alpha, Rng& rng) {
  const double a = draw_gamma(alpha, rng), b = draw_gamma(alpha, rng);
  return a + b > 0 ? a / (a + b) : 1;  // both may be too small for a double
}

void mix_rows(std::span<float> rows, std::size_t count, double share) {
  INK_INVARIANT(count > 0 && rows.size() % count == 0);
  const std::size_t size = rows.size() / count;
  const auto own = static_cast<float>(share), other = static_cast<float>(1 - share);
  for (std::size_t column = 0; column < size; ++column) {
    const float first = rows[column];
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = i * size + column;
      rows[at] = own * rows[at] + other * (i + 1 < count ? rows[at + size] : first);
    }
  }
}

}  // namespace inkling
