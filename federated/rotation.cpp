#include "federated/rotation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "federated/secagg/schedule.h"

namespace inkling::federated {

namespace {

void flip_signs(std::span<float> values, const secagg::Hash& ctx) {
  secagg::Keystream stream(secagg::public_stream_key(ctx, "fl-sa/1/rotate"));
  std::array<std::uint8_t, 1024> bits;
  for (std::size_t begin = 0; begin < values.size(); begin += 8 * bits.size()) {
    stream.fill(bits);
    const std::size_t count = std::min(values.size() - begin, 8 * bits.size());
    for (std::size_t i = 0; i < count; ++i) {
      if ((bits[i / 8] >> (i % 8) & 1) != 0) values[begin + i] = -values[begin + i];
    }
  }
}

void hadamard(std::span<float> block) {
  for (std::size_t half = 1; half < block.size(); half *= 2) {
    for (std::size_t begin = 0; begin < block.size(); begin += 2 * half) {
      for (std::size_t i = begin; i < begin + half; ++i) {
        const float a = block[i], b = block[i + half];
        block[i] = a + b;
        block[i + half] = a - b;
      }
    }
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(block.size()));
  for (float& v : block) v *= scale;
}

void hadamard_blocks(std::span<float> values, std::uint32_t block) {
  for (std::size_t begin = 0; begin < values.size(); begin += block) {
    hadamard(values.subspan(begin, block));
  }
}

}  // namespace

void rotate(std::span<float> values, std::uint32_t block, const secagg::Hash& ctx) {
  flip_signs(values, ctx);
  hadamard_blocks(values, block);
}

void unrotate(std::span<float> values, std::uint32_t block, const secagg::Hash& ctx) {
  hadamard_blocks(values, block);
  flip_signs(values, ctx);
}

}  // namespace inkling::federated
