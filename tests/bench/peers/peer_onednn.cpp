// oneDNN's primitives on the layers of a network. Every layer chooses its own layouts
// (format_tag::any) and works in its predecessor's where it can; bounds and residual adds are
// post-ops, the add in place. A linear layer is an inner product or a matmul, whichever is faster.

#include <chrono>
#include <cstring>
#include <functional>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>

#include "tests/bench/peers/layers.h"
#include "tests/bench/peers/worker.h"

namespace inkling::peers {
namespace {

using dnnl::memory;
using Dims = memory::dims;
using Tag = memory::format_tag;

constexpr auto kF32 = memory::data_type::f32;
constexpr auto kForward = dnnl::prop_kind::forward_inference;

memory::desc any(const Dims& dims) { return {dims, kF32, Tag::any}; }

// Our shapes are channels-last; oneDNN names the channels second whatever the layout.
Dims dims_of(const Shape& s) {
  if (s.rank() == 4) return {s[0], s[3], s[1], s[2]};
  return Dims(s.dims().begin(), s.dims().end());
}

class OnednnPeer : public Peer {
 public:
  OnednnPeer(const PeerSpec& spec, const Example& example)
      : net_(read_network(spec.folder + "/model.ink")),
        stream_(engine_),
        places_(net_.values.size()) {
    const Dims in = dims_of(net_.values[net_.input]);
    const memory::desc rows(in, kF32, in.size() == 4 ? Tag::nhwc : Tag::nc);
    places_[net_.input] = place(rows, 0);
    buffers_.touch(places_[net_.input].buffer, net_.layers.size());  // it is filled once
    for (std::size_t i = 0; i < net_.layers.size(); ++i) add(net_.layers[i], i);
    finish();
    const auto picture = channels_last(example.inputs[0].sizes, example.inputs[0].values);
    std::memcpy(buffers_.at(places_[net_.input].buffer), picture.data(),
                picture.size() * sizeof(float));
  }

  void run() override {
    for (const Step& step : steps_) step.primitive.execute(stream_, step.args);
    stream_.wait();
  }

  std::vector<float> output() override {
    const Place& y = places_[net_.output];
    std::vector<float> values(static_cast<std::size_t>(net_.values[net_.output].elements()));
    const Dims dims = y.desc.dims();
    memory to({dims, kF32, dims.size() == 4 ? Tag::nhwc : Tag::nc}, engine_, values.data());
    memory from(y.desc, engine_, buffers_.at(y.buffer));
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
    return values;
  }

 private:
  struct Place {
    memory::desc desc;
    std::size_t buffer = 0;
  };
  struct Step {
    dnnl::primitive primitive;
    std::unordered_map<int, memory> args;       // of constants
    std::vector<std::pair<int, Place>> places;  // of values: args once there is an arena
  };

  Place place(const memory::desc& desc, std::size_t step) {
    return {desc, buffers_.add(desc.get_size(), step)};
  }

  // The value in the layout `wanted`, by a reorder if need be.
  Place in_layout(std::size_t value, const memory::desc& wanted, std::size_t step) {
    Place from = places_[value];
    if (net_.values[value].rank() == 4 && wanted.dims().size() == 2)
      from.desc =
          memory::desc(wanted.dims(), kF32, Tag::nc);  // one pixel: its layouts are all alike
    buffers_.touch(from.buffer, step);
    if (from.desc == wanted) return from;
    const Place to = place(wanted, step);
    steps_.push_back({dnnl::reorder({engine_, from.desc, engine_, wanted}),
                      {},
                      {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}});
    return to;
  }

  memory constant(const std::vector<float>& values, const memory::desc& as,
                  const memory::desc& wanted) {
    memory from(as, engine_, const_cast<float*>(values.data())), to(wanted, engine_);
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
    return to;
  }

  static dnnl::primitive_attr post_ops(const Layer& layer) {
    dnnl::post_ops ops;
    if (layer.residual != Layer::kNone) ops.append_sum();
    if (layer.bounded()) {
      const bool relu = layer.low == 0 && layer.high == std::numeric_limits<float>::infinity();
      ops.append_eltwise(1.0f, relu ? dnnl::algorithm::eltwise_relu : dnnl::algorithm::eltwise_clip,
                         relu ? 0.0f : layer.low, relu ? 0.0f : layer.high);
    }
    dnnl::primitive_attr attr;
    attr.set_post_ops(ops);
    return attr;
  }

  void add(const Layer& layer, std::size_t i) {
    switch (layer.kind) {
      case Layer::Kind::kConvolution:
      case Layer::Kind::kDepthwise:
        return add_convolution(layer, i);
      case Layer::Kind::kLinear:
        return add_linear(layer, i);
      case Layer::Kind::kMaxPool:
      case Layer::Kind::kGlobalAverage:
        return add_pool(layer, i);
      case Layer::Kind::kAdd:
        return add_sum(layer, i);
      case Layer::Kind::kConcat:
        return add_concat(layer, i);
    }
  }

  void add_convolution(const Layer& layer, std::size_t i) {
    const bool dense = layer.kind == Layer::Kind::kConvolution;
    const ops::WindowSize& w = layer.window;
    const Dims weights = dense ? Dims{layer.out, layer.in, w.kernel_height, w.kernel_width}
                               : Dims{layer.out, 1, 1, w.kernel_height, w.kernel_width};
    const dnnl::convolution_forward::desc desc(
        kForward, dnnl::algorithm::convolution_direct, any(dims_of(net_.values[layer.inputs[0]])),
        any(weights), memory::desc({layer.out}, kF32, Tag::x),
        any(dims_of(net_.values[layer.output])), {w.stride_y, w.stride_x},
        {w.dilation_y - 1, w.dilation_x - 1}, {w.pad_top, w.pad_left},
        {layer.pad_bottom(), layer.pad_right()});
    const dnnl::convolution_forward::primitive_desc chosen(desc, post_ops(layer), engine_);
    const memory::desc plain(weights, kF32, dense ? Tag::hwio : Tag::hwigo);
    finish_linear(layer, i, dnnl::convolution_forward(chosen), chosen.src_desc(), chosen.dst_desc(),
                  constant(layer.weights, plain, chosen.weights_desc()),
                  constant(layer.bias, {{layer.out}, kF32, Tag::x}, {{layer.out}, kF32, Tag::x}));
  }

  void finish_linear(const Layer& layer, std::size_t i, dnnl::primitive primitive,
                     const memory::desc& src, const memory::desc& dst, memory weights,
                     memory bias) {
    const Place from = in_layout(layer.inputs[0], src, i);
    Place to;
    if (layer.residual == Layer::kNone) {
      to = place(dst, i);
    } else {  // what is added lies where the sum will be
      if (net_.last_use[layer.residual] > i)
        throw std::runtime_error("onednn: a residual that is read later");
      to = in_layout(layer.residual, dst, i);
    }
    places_[layer.output] = to;
    steps_.push_back({std::move(primitive),
                      {{DNNL_ARG_WEIGHTS, std::move(weights)}, {DNNL_ARG_BIAS, std::move(bias)}},
                      {{DNNL_ARG_SRC, from}, {DNNL_ARG_DST, to}}});
  }

  void add_linear(const Layer& layer, std::size_t i) {
    const memory::desc plain({layer.in, layer.out}, kF32, Tag::ab);
    const Dims x{layer.rows, layer.in}, y{layer.rows, layer.out};
    const dnnl::inner_product_forward::primitive_desc product(
        dnnl::inner_product_forward::desc(kForward, any(x), any({layer.out, layer.in}),
                                          memory::desc({layer.out}, kF32, Tag::x),
                                          memory::desc(y, kF32, Tag::ab)),
        post_ops(layer), engine_);
    const dnnl::matmul::primitive_desc matmul(
        dnnl::matmul::desc(memory::desc(x, kF32, Tag::ab), any({layer.in, layer.out}),
                           memory::desc({1, layer.out}, kF32, Tag::ab),
                           memory::desc(y, kF32, Tag::ab)),
        post_ops(layer), engine_);
    const memory product_weights =
        constant(layer.weights, {{layer.out, layer.in}, kF32, Tag::ba}, product.weights_desc());
    const memory matmul_weights = constant(layer.weights, plain, matmul.weights_desc());
    const memory product_bias =
        constant(layer.bias, {{layer.out}, kF32, Tag::x}, {{layer.out}, kF32, Tag::x});
    const memory matmul_bias =
        constant(layer.bias, {{1, layer.out}, kF32, Tag::ab}, {{1, layer.out}, kF32, Tag::ab});
    const dnnl::inner_product_forward product_primitive(product);
    const dnnl::matmul matmul_primitive(matmul);
    const bool matmul_wins =
        seconds(matmul_primitive, matmul.src_desc(), matmul_weights, matmul_bias,
                matmul.dst_desc()) < seconds(product_primitive, product.src_desc(), product_weights,
                                             product_bias, product.dst_desc());
    if (matmul_wins) {
      finish_linear(layer, i, matmul_primitive, matmul.src_desc(), matmul.dst_desc(),
                    matmul_weights, matmul_bias);
    } else {
      finish_linear(layer, i, product_primitive, product.src_desc(), product.dst_desc(),
                    product_weights, product_bias);
    }
  }

  // The fastest of ten runs.
  double seconds(const dnnl::primitive& primitive, const memory::desc& src, const memory& weights,
                 const memory& bias, const memory::desc& dst) {
    memory from(src, engine_), to(dst, engine_);
    std::memset(from.get_data_handle(), 0, src.get_size());
    double best = 1e9;
    for (int i = 0; i < 10; ++i) {
      const auto start = std::chrono::steady_clock::now();
      primitive.execute(stream_, {{DNNL_ARG_SRC, from},
                                  {DNNL_ARG_WEIGHTS, weights},
                                  {DNNL_ARG_BIAS, bias},
                                  {DNNL_ARG_DST, to}});
      stream_.wait();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      best = std::min(best, took.count());
    }
    return best;
  }

  void add_pool(const Layer& layer, std::size_t i) {
    const bool whole = layer.kind == Layer::Kind::kGlobalAverage;
    const Shape& x = net_.values[layer.inputs[0]];
    const ops::WindowSize& w = layer.window;
    const Place& from = places_[layer.inputs[0]];
    const Dims dst = whole ? Dims{x[0], x[3], 1, 1} : dims_of(net_.values[layer.output]);
    const Dims strides = whole ? Dims{1, 1} : Dims{w.stride_y, w.stride_x};
    const Dims kernel = whole ? Dims{x[1], x[2]} : Dims{w.kernel_height, w.kernel_width};
    const Dims before = whole ? Dims{0, 0} : Dims{w.pad_top, w.pad_left};
    const Dims behind = whole ? Dims{0, 0} : Dims{layer.pad_bottom(), layer.pad_right()};
    const dnnl::pooling_forward::primitive_desc chosen(
        {kForward,
         whole ? dnnl::algorithm::pooling_avg_exclude_padding : dnnl::algorithm::pooling_max,
         from.desc, any(dst), strides, kernel, before, behind},
        engine_);
    buffers_.touch(from.buffer, i);
    places_[layer.output] = place(chosen.dst_desc(), i);
    steps_.push_back({dnnl::pooling_forward(chosen),
                      {},
                      {{DNNL_ARG_SRC, from}, {DNNL_ARG_DST, places_[layer.output]}}});
  }

  void add_sum(const Layer& layer, std::size_t i) {
    const Place a = places_[layer.inputs[0]];
    const Place b = in_layout(layer.inputs[1], a.desc, i);
    buffers_.touch(a.buffer, i);
    const dnnl::binary::primitive_desc chosen({dnnl::algorithm::binary_add, a.desc, b.desc, a.desc},
                                              post_ops(layer), engine_);
    places_[layer.output] = place(a.desc, i);
    steps_.push_back(
        {dnnl::binary(chosen),
         {},
         {{DNNL_ARG_SRC_0, a}, {DNNL_ARG_SRC_1, b}, {DNNL_ARG_DST, places_[layer.output]}}});
  }

  void add_concat(const Layer& layer, std::size_t i) {
    std::vector<memory::desc> parts;
    for (const std::size_t v : layer.inputs) parts.push_back(places_[v].desc);
    const dnnl::concat::primitive_desc chosen(1, parts, engine_);
    places_[layer.output] = place(chosen.dst_desc(), i);
    Step step{dnnl::concat(chosen), {}, {{DNNL_ARG_DST, places_[layer.output]}}};
    for (std::size_t k = 0; k < layer.inputs.size(); ++k) {
      buffers_.touch(places_[layer.inputs[k]].buffer, i);
      step.places.push_back(
          {DNNL_ARG_MULTIPLE_SRC + static_cast<int>(k), places_[layer.inputs[k]]});
    }
    steps_.push_back(std::move(step));
  }

  void finish() {
    buffers_.touch(places_[net_.output].buffer, net_.layers.size());
    buffers_.lay_out();
    for (Step& step : steps_) {
      for (const auto& [arg, where] : step.places)
        step.args[arg] = memory(where.desc, engine_, buffers_.at(where.buffer));
    }
  }

  Network net_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_;
  Buffers buffers_;
  std::vector<Place> places_;  // by value
  std::vector<Step> steps_;
};

}  // namespace

std::unique_ptr<Peer> open_peer(const PeerSpec& spec, const Example& example) {
  return std::make_unique<OnednnPeer>(spec, example);
}

}  // namespace inkling::peers
