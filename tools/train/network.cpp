#include "tools/train/network.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>
#include <vector>

#include "autograd/initial_values.h"
#include "runtime/ops.h"
#include "runtime/passes/rewriter.h"

namespace inkling::tools {

namespace {

constexpr std::int64_t kNumberMax = 65536;

struct LayerText {
  std::string kind;
  std::vector<std::int64_t> numbers;

  std::int64_t number(std::size_t i, std::int64_t fallback) const {
    return i < numbers.size() ? numbers[i] : fallback;
  }
};

std::optional<LayerText> split_layer(const std::string& text) {
  LayerText layer;
  std::istringstream parts(text);
  std::string part;
  std::getline(parts, layer.kind, ':');
  while (std::getline(parts, part, ':')) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size() || value < 1 || value > kNumberMax)
      return std::nullopt;
    layer.numbers.push_back(value);
  }
  return layer;
}

class NetworkBuilder {
 public:
  NetworkBuilder(std::string input, const Shape& shape, std::uint64_t seed) : seed_(seed) {
    x_ = g_.input(std::move(input), {DType::kF32, shape});
  }

  // False: no such layer, or the wrong count of numbers.
  bool add_layer(const LayerText& layer) {
    const std::size_t count = layer.numbers.size();
    ++layers_;
    if (layer.kind == "conv" && count >= 1 && count <= 3 && is_picture()) {
      convolve(layer.numbers[0], layer.number(1, 3), layer.number(2, 1));
    } else if (layer.kind == "depthwise" && count <= 2 && is_picture()) {
      convolve(0, layer.number(0, 3), layer.number(1, 1));
    } else if (layer.kind == "pool" && count <= 1 && is_picture()) {
      const std::int64_t side = layer.number(0, 2);
      x_ = max_pool(g_, x_, {side, side}, {.strides = {side, side}});
    } else if (layer.kind == "mean" && count == 0 && is_picture()) {
      const std::int64_t axes[] = {1, 2};
      x_ = flat(mean_axes(g_, x_, axes));
    } else if (layer.kind == "dense" && count == 1) {
      x_ = flat(x_);
      const std::int64_t in = Shape(g_.shape(x_))[1];
      x_ = activated(matmul(g_, x_, parameter("weights", {in, layer.numbers[0]})));
    } else {
      return false;
    }
    return true;
  }

  Graph finish() && {
    g_.output("features", flat(x_));
    return std::move(g_);
  }
  const Graph& graph() const { return g_; }

 private:
  bool is_picture() const { return g_.shape(x_).rank() == 4; }

  ValueId parameter(const char* role, const Shape& shape) {
    return g_.constant(he_normal(shape, seed_, concat("layer", layers_, "/", role)));
  }

  ValueId activated(ValueId y) {
    return relu(g_, add(g_, y, parameter("bias", {Shape(g_.shape(y)).back()})));
  }

  // channels 0: depthwise
  void convolve(std::int64_t channels, std::int64_t side, std::int64_t stride) {
    const std::int64_t in = Shape(g_.shape(x_)).back(), edge = side / 2;
    const Window window{.strides = {stride, stride}, .pads = {edge, edge, edge, edge}};
    x_ = activated(channels == 0
                       ? depthwise_conv2d(g_, x_, parameter("weights", {side, side, in}), window)
                       : conv2d(g_, x_, parameter("weights", {side, side, in, channels}), window));
  }

  ValueId flat(ValueId x) {
    const Shape shape = g_.shape(x);
    return shape.rank() == 2 ? x : reshape(g_, x, {shape[0], shape.elements() / shape[0]});
  }

  Graph g_;
  ValueId x_;
  std::uint64_t seed_;
  std::size_t layers_ = 0;
};

}  // namespace

Result<Graph> build_network(std::string_view layers, std::string input, const Shape& shape,
                            std::uint64_t seed) {
  NetworkBuilder builder(std::move(input), shape, seed);
  std::istringstream words{std::string(layers)};
  std::string word;
  while (words >> word) {
    const auto layer = split_layer(word);
    if (!layer || !builder.add_layer(*layer))
      return fail(ErrorCode::kInvalidArgument, "layers: '", word,
                  "' is not a layer that can stand here");
    if (!builder.graph().status())
      return fail_within(builder.graph().status().error(), concat("layers: '", word, "'"));
  }
  Graph graph = std::move(builder).finish();
  if (graph.nodes().empty() || !graph.status())
    return fail(ErrorCode::kInvalidArgument, "layers: '", layers, "': expected at least one layer");
  return graph;
}

Shape picture_shape(const PictureSize& size) {
  return {1, static_cast<std::int64_t>(size.height), static_cast<std::int64_t>(size.width),
          static_cast<std::int64_t>(size.channels)};
}

Result<Graph> standardized(const Graph& base, const Table& table,
                           std::span<const std::size_t> rows) {
  const std::size_t width = table.columns.size();
  const auto count = static_cast<double>(rows.size());
  std::vector<float> means, factors;
  for (std::size_t column = 0; column < width; ++column) {
    double sum = 0, squares = 0;
    for (const std::size_t row : rows) sum += static_cast<double>(table.row(row)[column]);
    const double mean = sum / count;
    for (const std::size_t row : rows) {
      const double away = static_cast<double>(table.row(row)[column]) - mean;
      squares += away * away;
    }
    const double deviation = std::sqrt(squares / count);
    means.push_back(static_cast<float>(mean));
    factors.push_back(deviation > 0 ? static_cast<float>(1 / deviation) : 1.0f);
  }
  const Shape shape{static_cast<std::int64_t>(width)};
  Rewriter rewriter(base);
  Graph& g = rewriter.graph();
  const ValueId input = base.inputs()[0];
  const ValueId centred =
      sub(g, rewriter.now(input), g.constant(Tensor::from<float>(shape, std::span(means))));
  rewriter.map(input, mul(g, centred, g.constant(Tensor::from<float>(shape, std::span(factors)))));
  for (const Node& node : base.nodes()) rewriter.copy(node);
  return rewriter.finish();
}

}  // namespace inkling::tools
