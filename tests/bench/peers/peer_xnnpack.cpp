// XNNPACK's operators on the layers of a network: what a runtime made of it would call. Channels of
// a concatenation are written where they belong by the layers before it.

#include <pthreadpool.h>
#include <xnnpack.h>

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "tests/bench/peers/layers.h"
#include "tests/bench/peers/worker.h"

namespace inkling::peers {
namespace {

void expect(xnn_status status, const char* what) {
  if (status != xnn_status_success)
    throw std::runtime_error(concat("xnnpack: ", what, " failed: ", static_cast<int>(status)));
}

std::uint32_t u32(std::int64_t n) { return static_cast<std::uint32_t>(n); }
std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

class XnnpackPeer : public Peer {
 public:
  XnnpackPeer(const PeerSpec& spec, const Example& example)
      : net_(read_network(spec.folder + "/model.ink")) {
    expect(xnn_initialize(nullptr), "initialize");
    if (spec.threads > 1) pool_ = pthreadpool_create(spec.threads);
    place_values();
    for (const Layer& layer : net_.layers) create(layer);
    const auto picture = channels_last(example.inputs[0].sizes, example.inputs[0].values);
    std::memcpy(at(net_.input), picture.data(), picture.size() * sizeof(float));
  }

  void run() override {
    for (const xnn_operator_t op : operators_) expect(xnn_run_operator(op, pool_), "run");
  }

  std::vector<float> output() override {
    const float* y = at(net_.output);
    return {y, y + net_.values[net_.output].elements()};
  }

 private:
  // Where a value lies: a part of the channels of a buffer.
  struct Place {
    std::size_t buffer;
    std::int64_t channel, stride;
  };

  float* at(std::size_t value) const {
    return static_cast<float*>(buffers_.at(places_[value].buffer)) + places_[value].channel;
  }
  std::size_t stride(std::size_t value) const { return size(places_[value].stride); }

  void place_values() {
    const std::size_t end = net_.layers.size();
    places_.resize(net_.values.size());
    std::vector<bool> placed(net_.values.size());
    const auto place = [&](std::size_t value, std::size_t step) {
      const Shape& s = net_.values[value];
      places_[value] = {buffers_.add(size(s.elements()) * sizeof(float), step), 0, s.back()};
      placed[value] = true;
    };
    place(net_.input, 0);
    buffers_.touch(places_[net_.input].buffer, end);  // it is filled once
    for (std::size_t i = 0; i < end; ++i) {
      const Layer& layer = net_.layers[i];
      // What goes into a concatenation that nothing else reads is a part of it from the beginning.
      for (std::size_t j = i; j < end && !placed[layer.output]; ++j) {
        const Layer& concat = net_.layers[j];
        const auto& parts = concat.inputs;
        if (concat.kind != Layer::Kind::kConcat ||
            std::find(parts.begin(), parts.end(), layer.output) == parts.end())
          continue;
        place(concat.output, i);
        std::int64_t channel = 0;
        for (const std::size_t part : parts) {
          places_[part] = {places_[concat.output].buffer, channel,
                           net_.values[concat.output].back()};
          placed[part] = true;
          channel += net_.values[part].back();
        }
      }
      if (!placed[layer.output]) place(layer.output, i);
    }
    for (std::size_t v = 0; v < net_.values.size(); ++v)
      buffers_.touch(places_[v].buffer, net_.last_use[v]);
    buffers_.lay_out();
  }

  void create(const Layer& layer) {
    const std::size_t x = layer.inputs[0], y = layer.output;
    const ops::WindowSize& w = layer.window;
    // XNNPACK adds in an operator of its own, which then has the bounds.
    const bool adds = layer.residual != Layer::kNone;
    const float low = adds ? -INFINITY : layer.low, high = adds ? INFINITY : layer.high;
    xnn_operator_t op = nullptr;
    switch (layer.kind) {
      case Layer::Kind::kConvolution:
      case Layer::Kind::kDepthwise: {
        const bool dense = layer.kind == Layer::Kind::kConvolution;
        const std::vector<float> weights = dense ? outputs_first(layer) : layer.weights;
        expect(xnn_create_convolution2d_nhwc_f32(
                   u32(w.pad_top), u32(layer.pad_right()), u32(layer.pad_bottom()), u32(w.pad_left),
                   u32(w.kernel_height), u32(w.kernel_width), u32(w.stride_y), u32(w.stride_x),
                   u32(w.dilation_y), u32(w.dilation_x), dense ? 1 : u32(layer.out),
                   dense ? size(layer.in) : 1, dense ? size(layer.out) : 1, stride(x), stride(y),
                   weights.data(), layer.bias.data(), low, high,
                   dense ? 0 : XNN_FLAG_DEPTHWISE_CONVOLUTION, &op),
               "convolution");
        expect(xnn_setup_convolution2d_nhwc_f32(op, size(w.batch), size(w.height), size(w.width),
                                                at(x), at(y), pool_),
               "convolution");
        break;
      }
      case Layer::Kind::kLinear:
        expect(xnn_create_fully_connected_nc_f32(size(layer.in), size(layer.out), size(layer.in),
                                                 size(layer.out), layer.weights.data(),
                                                 layer.bias.data(), low, high,
                                                 XNN_FLAG_TRANSPOSE_WEIGHTS, &op),
               "linear");
        expect(xnn_setup_fully_connected_nc_f32(op, size(layer.rows), at(x), at(y), pool_),
               "linear");
        break;
      case Layer::Kind::kMaxPool:
        expect(xnn_create_max_pooling2d_nhwc_f32(
                   u32(w.pad_top), u32(layer.pad_right()), u32(layer.pad_bottom()), u32(w.pad_left),
                   u32(w.kernel_height), u32(w.kernel_width), u32(w.stride_y), u32(w.stride_x), 1,
                   1, size(layer.in), stride(x), stride(y), -INFINITY, INFINITY, 0, &op),
               "max pool");
        expect(xnn_setup_max_pooling2d_nhwc_f32(op, size(w.batch), size(w.height), size(w.width),
                                                at(x), at(y), pool_),
               "max pool");
        break;
      case Layer::Kind::kGlobalAverage:
        expect(xnn_create_global_average_pooling_nwc_f32(size(layer.in), stride(x), stride(y),
                                                         -INFINITY, INFINITY, 0, &op),
               "mean");
        expect(xnn_setup_global_average_pooling_nwc_f32(
                   op, 1, size(net_.values[x][1] * net_.values[x][2]), at(x), at(y), pool_),
               "mean");
        break;
      case Layer::Kind::kAdd:
        return create_add(layer, x, layer.inputs[1]);
      case Layer::Kind::kConcat:
        return;
    }
    operators_.push_back(op);
    if (adds) create_add(layer, y, layer.residual);
  }

  void create_add(const Layer& layer, std::size_t a, std::size_t b) {
    xnn_operator_t op = nullptr;
    const std::size_t count = size(net_.values[layer.output].elements());
    expect(xnn_create_add_nd_f32(layer.low, layer.high, 0, &op), "add");
    expect(xnn_setup_add_nd_f32(op, 1, &count, 1, &count, at(a), at(b), at(layer.output), pool_),
           "add");
    operators_.push_back(op);
  }

  // f32[ky, kx, in, out] as f32[out, ky, kx, in]
  static std::vector<float> outputs_first(const Layer& layer) {
    const std::size_t outs = size(layer.out), rest = layer.weights.size() / outs;
    std::vector<float> weights(layer.weights.size());
    for (std::size_t o = 0; o < outs; ++o) {
      for (std::size_t r = 0; r < rest; ++r) weights[o * rest + r] = layer.weights[r * outs + o];
    }
    return weights;
  }

  Network net_;
  Buffers buffers_;
  std::vector<Place> places_;
  std::vector<xnn_operator_t> operators_;
  pthreadpool_t pool_ = nullptr;
};

}  // namespace

std::unique_ptr<Peer> open_peer(const PeerSpec& spec, const Example& example) {
  return std::make_unique<XnnpackPeer>(spec, example);
}

}  // namespace inkling::peers
