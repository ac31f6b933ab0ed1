#include "tests/bench/peers/layers.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "runtime/model.h"
#include "runtime/passes/passes.h"
#include "runtime/planner.h"

namespace inkling::peers {
namespace {

[[noreturn]] void refuse(const Node& node, const char* why) {
  throw std::runtime_error(concat("layers: ", op_name(node.op), ": ", why));
}

class Lowering {
 public:
  explicit Lowering(const Graph& graph)
      : graph_(graph),
        value_(graph.values().size(), Layer::kNone),
        repeats_(graph.values().size(), kNoValue),
        uses_(graph.values().size(), 0) {
    for (const Node& node : graph.nodes()) {
      for (const ValueId id : node.inputs) ++uses_[at(id)];
    }
    ++uses_[at(graph.outputs()[0].value)];
  }

  Network run() {
    if (graph_.inputs().size() != 1) throw std::runtime_error("layers: not one input");
    net_.input = value_[at(graph_.inputs()[0])] = add_value(graph_.shape(graph_.inputs()[0]));
    for (const Node& node : graph_.nodes()) lower(node);
    net_.output = of(graph_.outputs()[0].value);
    net_.last_use.assign(net_.values.size(), 0);
    for (std::size_t i = 0; i < net_.layers.size(); ++i) {
      const Layer& layer = net_.layers[i];
      for (const std::size_t v : layer.inputs) net_.last_use[v] = i;
      if (layer.residual != Layer::kNone) net_.last_use[layer.residual] = i;
    }
    net_.last_use[net_.output] = net_.layers.size();
    return std::move(net_);
  }

 private:
  static std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

  std::size_t add_value(const Shape& shape) {
    net_.values.push_back(shape);
    producer_.push_back(Layer::kNone);
    return net_.values.size() - 1;
  }

  std::size_t of(ValueId id) const {
    if (value_[at(id)] == Layer::kNone) throw std::runtime_error("layers: a value of no layer");
    return value_[at(id)];
  }

  const Tensor* constant(ValueId id) const {
    while (repeats_[at(id)] != kNoValue) id = repeats_[at(id)];
    const Value& value = graph_.value(id);
    return value.kind == ValueKind::kConstant ? value.tensor.get() : nullptr;
  }
  static std::vector<float> floats(const Tensor& tensor) {
    const auto span = tensor.data<float>();
    return {span.begin(), span.end()};
  }

  void push(const Node& node, Layer layer) {
    layer.output = value_[at(node.outputs[0])] = add_value(graph_.shape(node.outputs[0]));
    producer_.back() = net_.layers.size();
    net_.layers.push_back(std::move(layer));
  }

  // The layer that made the value, when nothing else reads it and it is not bounded yet.
  Layer* open_layer(ValueId id) {
    if (uses_[at(id)] != 1 || value_[at(id)] == Layer::kNone) return nullptr;
    const std::size_t i = producer_[value_[at(id)]];
    return i == Layer::kNone || net_.layers[i].bounded() ? nullptr : &net_.layers[i];
  }
  static bool is_linear(const Layer& layer) {
    return layer.kind == Layer::Kind::kConvolution || layer.kind == Layer::Kind::kDepthwise ||
           layer.kind == Layer::Kind::kLinear;
  }

  // The node's result is what an earlier layer makes now.
  void alias(const Node& node, ValueId of_input) { value_[at(node.outputs[0])] = of(of_input); }

  void lower(const Node& node) {
    switch (node.op) {
      case OpKind::kTranspose:  // of the picture: peers get it channels-last
        if (of(node.inputs[0]) != net_.input || !net_.layers.empty()) refuse(node, "inside");
        net_.values[net_.input] = graph_.shape(node.outputs[0]);
        return alias(node, node.inputs[0]);
      case OpKind::kReshape:
        if (constant(node.inputs[0])) {
          repeats_[at(node.outputs[0])] = node.inputs[0];
          return;
        }
        return alias(node, node.inputs[0]);
      case OpKind::kBroadcastTo:
        repeats_[at(node.outputs[0])] = node.inputs[0];
        return;
      case OpKind::kConv2d:
      case OpKind::kDepthwiseConv2d:
        return lower_convolution(node);
      case OpKind::kMatmul:
        return lower_linear(node);
      case OpKind::kMaxPool:
        return lower_pool(node);
      case OpKind::kSumTo:
        return lower_sum(node);
      case OpKind::kMul:
        return lower_mean(node);
      case OpKind::kAdd:
        return lower_add(node);
      case OpKind::kClamp:
        return lower_clamp(node);
      case OpKind::kConcat:
        return lower_concat(node);
      default:
        refuse(node, "no layer for it");
    }
  }

  void lower_convolution(const Node& node) {
    const bool dense = node.op == OpKind::kConv2d;
    const Tensor* weights = constant(node.inputs[1]);
    if (!weights || node.inputs.size() != 2) refuse(node, "weights that change");
    const Shape& w = weights->shape();
    push(node, {.kind = dense ? Layer::Kind::kConvolution : Layer::Kind::kDepthwise,
                .inputs = {of(node.inputs[0])},
                .window = *ops::window_size(graph_.shape(node.inputs[0]), w[0], w[1], node.attrs),
                .in = w[2],
                .out = w.back(),
                .weights = floats(*weights),
                .bias = std::vector<float>(static_cast<std::size_t>(w.back()))});
  }

  void lower_linear(const Node& node) {
    const Tensor* weights = constant(node.inputs[1]);
    const auto s =
        ops::matmul_size(graph_.shape(node.inputs[0]), graph_.shape(node.inputs[1]), node.attrs);
    if (!weights || s.transpose_a || s.batch != 1) refuse(node, "not rows times a constant matrix");
    std::vector<float> w = floats(*weights);
    if (s.transpose_b) {
      for (std::int64_t k = 0; k < s.k; ++k) {
        for (std::int64_t n = 0; n < s.n; ++n)
          w[static_cast<std::size_t>(k * s.n + n)] =
              weights->data<float>()[static_cast<std::size_t>(n * s.k + k)];
      }
    }
    push(node, {.kind = Layer::Kind::kLinear,
                .inputs = {of(node.inputs[0])},
                .rows = s.m,
                .in = s.k,
                .out = s.n,
                .weights = std::move(w),
                .bias = std::vector<float>(static_cast<std::size_t>(s.n))});
  }

  void lower_pool(const Node& node) {
    const auto& kernel = node.attrs.integers(Attr::kKernel);
    const Shape& x = graph_.shape(node.inputs[0]);
    push(node, {.kind = Layer::Kind::kMaxPool,
                .inputs = {of(node.inputs[0])},
                .window = *ops::window_size(x, kernel[0], kernel[1], node.attrs),
                .in = x[3],
                .out = x[3]});
  }

  // A sum over the pixels, which a product with 1 / pixels makes the mean.
  void lower_sum(const Node& node) {
    const Shape& x = graph_.shape(node.inputs[0]);
    if (x.rank() != 4 || graph_.shape(node.outputs[0]).elements() != x[0] * x[3])
      refuse(node, "not over the pixels");
    push(node, {.kind = Layer::Kind::kGlobalAverage,
                .inputs = {of(node.inputs[0])},
                .in = x[3],
                .out = x[3]});
  }
  void lower_mean(const Node& node) {
    const bool first = constant(node.inputs[0]) != nullptr;
    const ValueId x = node.inputs[first ? 1 : 0];
    const Tensor* factor = constant(node.inputs[first ? 0 : 1]);
    Layer* sum = open_layer(x);
    if (!factor || factor->shape().elements() != 1 || !sum ||
        sum->kind != Layer::Kind::kGlobalAverage)
      refuse(node, "not a mean");
    const Shape& pixels = net_.values[sum->inputs[0]];
    const double expected = 1.0 / static_cast<double>(pixels[1] * pixels[2]);
    if (std::abs(static_cast<double>(factor->data<float>()[0]) / expected - 1) > 1e-5)
      refuse(node, "not a mean");
    alias(node, x);
  }

  void lower_add(const Node& node) {
    for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
      const ValueId y = node.inputs[i], b = node.inputs[1 - i];
      const Tensor* bias = constant(b);
      Layer* layer = bias ? open_layer(y) : nullptr;
      if (!layer || !is_linear(*layer) || bias->shape().elements() != layer->out) continue;
      const auto values = bias->data<float>();
      for (std::size_t c = 0; c < values.size(); ++c) layer->bias[c] += values[c];
      return alias(node, y);
    }
    const std::size_t a = of(node.inputs[0]), b = of(node.inputs[1]);
    const std::size_t later = producer_[a] != Layer::kNone &&
                                      (producer_[b] == Layer::kNone || producer_[a] > producer_[b])
                                  ? 0
                                  : 1;
    Layer* layer = open_layer(node.inputs[later]);
    if (layer && layer->kind == Layer::Kind::kConvolution && layer->residual == Layer::kNone) {
      layer->residual = later == 0 ? b : a;
      return alias(node, node.inputs[later]);
    }
    push(node, {.kind = Layer::Kind::kAdd, .inputs = {a, b}});
  }

  void lower_clamp(const Node& node) {
    Layer* layer = open_layer(node.inputs[0]);
    if (!layer || !(is_linear(*layer) || layer->kind == Layer::Kind::kAdd))
      refuse(node, "not behind a linear layer");
    layer->low = static_cast<float>(node.attrs.real(Attr::kMin, -INFINITY));
    layer->high = static_cast<float>(node.attrs.real(Attr::kMax, INFINITY));
    alias(node, node.inputs[0]);
  }

  void lower_concat(const Node& node) {
    const Shape& y = graph_.shape(node.outputs[0]);
    if (node.attrs.integer(Attr::kAxis) != static_cast<std::int64_t>(y.rank()) - 1)
      refuse(node, "not of channels");
    Layer layer{.kind = Layer::Kind::kConcat, .inputs = {}};
    for (const ValueId id : node.inputs) layer.inputs.push_back(of(id));
    push(node, std::move(layer));
  }

  const Graph& graph_;
  Network net_;
  std::vector<std::size_t> value_;  // by graph value
  std::vector<ValueId> repeats_;    // what a broadcast or reshaped constant is made of
  std::vector<std::size_t> uses_;
  std::vector<std::size_t> producer_;  // by value of the network: a layer
};

}  // namespace

std::int64_t Layer::pad_bottom() const {
  return std::max<std::int64_t>(0, (window.out_height - 1) * window.stride_y +
                                       (window.kernel_height - 1) * window.dilation_y + 1 -
                                       window.height - window.pad_top);
}

std::int64_t Layer::pad_right() const {
  return std::max<std::int64_t>(0, (window.out_width - 1) * window.stride_x +
                                       (window.kernel_width - 1) * window.dilation_x + 1 -
                                       window.width - window.pad_left);
}

Network read_network(const std::string& ink_file) {
  const auto model = open_model(ink_file);
  if (!model) throw std::runtime_error(model.error().message);
  const auto graph = simplify(model->graph);
  if (!graph) throw std::runtime_error(graph.error().message);
  return Lowering(*graph).run();
}

std::vector<float> channels_last(const std::vector<std::int64_t>& sizes,
                                 const std::vector<float>& values) {
  if (sizes.size() != 4) return values;
  const auto channels = static_cast<std::size_t>(sizes[1]);
  const std::size_t pixels = values.size() / channels;
  std::vector<float> out(values.size());
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t p = 0; p < pixels; ++p) out[p * channels + c] = values[c * pixels + p];
  }
  return out;
}

std::size_t Buffers::add(std::size_t bytes, std::size_t step) {
  lives_.push_back({bytes + 64, step, step});  // XNNPACK reads a little beyond
  return lives_.size() - 1;
}

void Buffers::touch(std::size_t buffer, std::size_t step) {
  lives_[buffer].last = std::max(lives_[buffer].last, step);
}

void Buffers::lay_out() {
  std::vector<Lifetime> lifetimes;
  for (const Life& life : lives_) lifetimes.push_back({life.bytes, life.first, life.last});
  const ArenaLayout layout = plan_arena(lifetimes);
  offsets_ = layout.offsets;
  arena_ = allocate_aligned(layout.bytes);
}

}  // namespace inkling::peers
