#include "server-sim/simulation/architecture.h"

#include "autograd/initial_values.h"
#include "rerank/conditional_logit.h"
#include "runtime/ops.h"

namespace inkling {

namespace {

struct Builder {
  Graph& g;
  std::uint64_t seed;
  int layers = 0;

  ValueId variable(const char* kind, const Shape& shape) {
    const std::string name = concat(kind, layers);
    return g.variable(name, he_normal(shape, seed, name));
  }
  ValueId dense(ValueId x, std::int64_t out) {
    ++layers;
    // In this order, which as arguments would be the compiler's.
    const ValueId bias = variable("bias", {out});
    const ValueId weights = variable("weights", {g.shape(x)[1], out});
    return add(g, matmul(g, x, weights), bias);
  }
  ValueId conv_pool(ValueId x, std::int64_t out, std::int64_t pad) {
    ++layers;
    const ValueId y = conv2d(g, x, variable("weights", {5, 5, g.shape(x)[3], out}),
                             {.pads = {pad, pad, pad, pad}});
    return max_pool(g, relu(g, add(g, y, variable("bias", {out}))), {2, 2}, {.strides = {2, 2}});
  }
  ValueId flatten(ValueId x) {
    const Shape& shape = g.shape(x);
    return reshape(g, x, {shape[0], shape.elements() / shape[0]});
  }
};

bool is_picture(const Shape& x) { return x.rank() == 4 && x[1] >= 16 && x[2] >= 16; }

ValueId refuse(Graph& g, std::string message) {
  g.latch({ErrorCode::kInvalidArgument, std::move(message)});
  return kNoValue;
}

}  // namespace

ValueId Architecture::append(Graph& g, ValueId x, std::int64_t labels, std::uint64_t seed) const {
  Builder b{g, seed};
  if (name == "logistic") return b.dense(b.flatten(x), labels);
  if (name == "mlp") {
    ValueId y = b.flatten(x);
    for (const std::int64_t size : hidden) {
      if (size < 1) return refuse(g, concat("mlp: a hidden layer of ", size));
      y = relu(g, b.dense(y, size));
    }
    return b.dense(y, labels);
  }
  if (name == "lenet" || name == "cnn") {
    if (!is_picture(g.shape(x)))
      return refuse(g,
                    concat(name, ": features of ", g.shape(x), ", expected [n, h, w, channels]"));
    if (name == "lenet") {
      const ValueId y = b.flatten(b.conv_pool(b.conv_pool(x, 6, 2), 16, 0));
      return b.dense(relu(g, b.dense(relu(g, b.dense(y, 120)), 84)), labels);
    }
    const ValueId y = b.flatten(b.conv_pool(b.conv_pool(x, 32, 2), 64, 2));
    return b.dense(relu(g, b.dense(y, 512)), labels);
  }
  if (name == "conditional_logit" || name == "offset_logit") {
    const Shape shape = g.shape(x);
    const bool has_offset = name == "offset_logit";
    const std::int64_t width = shape.rank() == 3 ? shape[2] - (has_offset ? 1 : 0) : 0;
    if (width < 1 || shape[1] != labels)
      return refuse(g,
                    concat(name, ": features of ", shape, ", expected [n, ", labels, ", width]"));
    const ValueId weights = g.variable("weights", Tensor::zeros({DType::kF32, {width, 1}}));
    if (!has_offset) return append_conditional_logit(g, x, weights);
    const ValueId own = slice(g, x, {0, 0, 0}, {shape[0], labels, width});
    const ValueId offset = slice(g, x, {0, 0, width}, {shape[0], labels, 1});
    return add(g, append_conditional_logit(g, own, weights),
               reshape(g, offset, {shape[0], labels}));
  }
  return refuse(g, concat("architecture '", name,
                          "': expected logistic, mlp, lenet, cnn, conditional_logit or "
                          "offset_logit"));
}

}  // namespace inkling
