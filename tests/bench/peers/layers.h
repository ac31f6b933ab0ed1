#pragma once
// A network as a list of the layers that libraries of primitives have, lowered from the imported
// graph before Inkling's own fusion: biases, bounds and residual adds are folded into the layer
// before them, so that a peer gets what its users would write by hand. Channels-last.

#include <limits>
#include <string>
#include <vector>

#include "runtime/graph.h"
#include "runtime/ops/linear.h"

namespace inkling::peers {

struct Layer {
  enum class Kind { kConvolution, kDepthwise, kLinear, kMaxPool, kGlobalAverage, kAdd, kConcat };
  Kind kind;
  std::vector<std::size_t> inputs;  // values
  std::size_t output = 0;
  ops::WindowSize window{};                // of convolutions and max pools
  std::int64_t rows = 0, in = 0, out = 0;  // channels; of a linear layer also rows
  std::vector<float>
      weights{};  // f32[ky, kx, in, out]; depthwise f32[ky, kx, out]; linear f32[in, out]
  std::vector<float> bias{};  // f32[out]
  // What is added before the bounds; else kNone. Only of a convolution.
  std::size_t residual = static_cast<std::size_t>(-1);
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  bool bounded() const {
    return low > -std::numeric_limits<float>::infinity() ||
           high < std::numeric_limits<float>::infinity();
  }
  // The pads behind: what the output needs beyond the input.
  std::int64_t pad_bottom() const;
  std::int64_t pad_right() const;
};

struct Network {
  std::vector<Shape> values;  // NHWC, or [rows, channels]
  std::vector<Layer> layers;
  std::size_t input = 0, output = 0;
  std::vector<std::size_t> last_use;  // by value: a layer
};

// Throws std::runtime_error, naming the op, where the network is none of such layers.
Network read_network(const std::string& ink_file);

// [1, c, h, w] as [1, h, w, c]; anything else as it is.
std::vector<float> channels_last(const std::vector<std::int64_t>& sizes,
                                 const std::vector<float>& values);

// Buffers in one arena, laid out by their first and last layers.
class Buffers {
 public:
  std::size_t add(std::size_t bytes, std::size_t step);
  void touch(std::size_t buffer, std::size_t step);
  void lay_out();
  void* at(std::size_t buffer) const { return arena_.get() + offsets_[buffer]; }

 private:
  struct Life {
    std::size_t bytes, first, last;
  };
  std::vector<Life> lives_;
  std::vector<std::size_t> offsets_;
  AlignedBytes arena_;
};

}  // namespace inkling::peers
