#include "autograd/fine_tune.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <optional>

#include "autograd/initial_values.h"
#include "autograd/losses.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"
#include "runtime/passes/passes.h"
#include "runtime/passes/rewriter.h"
#include "runtime/session.h"

namespace inkling {

namespace {

constexpr const char* kFeatures = "features";
constexpr const char* kLogits = "logits";
constexpr const char* kHeadWeights = "head/weights";
constexpr const char* kHeadBias = "head/bias";

bool is_linear(OpKind op) {
  return op == OpKind::kMatmul || op == OpKind::kConv2d || op == OpKind::kDepthwiseConv2d;
}

std::vector<const Node*> producers_of(const Graph& g) {
  std::vector<const Node*> producers(g.values().size(), nullptr);
  for (const Node& node : g.nodes()) {
    for (const ValueId id : node.outputs) producers[static_cast<std::size_t>(id)] = &node;
  }
  return producers;
}

bool is_f32_constant(const Graph& g, ValueId id) {
  return g.value(id).kind == ValueKind::kConstant && g.spec(id).dtype == DType::kF32;
}

// f32[1, f]: feature maps [1, ..., channels] averaged over their positions.
ValueId flat_features(Graph& g, ValueId x) {
  const Shape shape = g.shape(x);
  if (shape.rank() < 2) return reshape(g, x, {1, shape.elements()});
  if (shape.rank() == 2) return x;
  std::vector<std::int64_t> axes;
  for (std::size_t axis = 1; axis + 1 < shape.rank(); ++axis)
    axes.push_back(static_cast<std::int64_t>(axis));
  return reshape(g, mean_axes(g, x, axes), {shape[0], shape.back()});
}

// The graph up to `features`, which becomes its only output.
Result<Graph> keep_up_to(const Graph& source, ValueId features, bool keep_scales) {
  Rewriter rewriter(source);
  for (const Node& node : source.nodes()) rewriter.copy(node);
  Graph& g = rewriter.graph();
  g.output(kFeatures, flat_features(g, rewriter.now(features)));
  INK_CHECK_OK(g.status());
  return simplify(g, keep_scales);
}

// One constant of the base that can be trained.
struct Parameter {
  enum class Role : std::uint8_t { kWeights, kScale, kBias };
  ValueId constant;
  Role role;
  std::size_t layer;  // linear layers count from 0; a scale or bias belongs to the one before it
};

// Whether channels stay the last axis, or the only one beside the batch that is longer than 1.
bool keeps_channels(const Node& node, const Shape& from, const Shape& to) {
  const auto is_vector = [](const Shape& shape) {
    const auto dims = shape.dims().subspan(std::min<std::size_t>(1, shape.rank()));
    return std::count_if(dims.begin(), dims.end(), [](std::int64_t n) { return n != 1; }) <= 1;
  };
  if (is_vector(from)) return true;
  return node.op == OpKind::kReshape && from.rank() > 0 && to.rank() > 0 &&
         from.back() == to.back();
}

// Finds the parameters of a simplified graph: weights of linear layers, and the per-channel
// constants that are added or multiplied right after them.
std::vector<Parameter> parameters_of(const Graph& g) {
  const auto producers = producers_of(g);
  std::vector<Parameter> found;
  std::vector<bool> taken(g.values().size()), follows(g.values().size());
  const auto at = [](ValueId id) { return static_cast<std::size_t>(id); };
  std::size_t layers = 0;
  const auto take = [&](ValueId id, Parameter::Role role, const Node& node) {
    follows[at(node.outputs[0])] = true;
    if (taken[at(id)]) return;
    taken[at(id)] = true;
    found.push_back({id, role, layers - 1});
  };
  const auto is_channel_constant = [&](ValueId id, const Shape& out) {
    const Shape& s = g.shape(id);
    return is_f32_constant(g, id) && s.rank() > 0 && s.back() == out.back() &&
           s.elements() == out.back();
  };
  for (const Node& node : g.nodes()) {
    if (is_linear(node.op) && is_f32_constant(g, node.inputs[1])) {
      ++layers;
      take(node.inputs[1], Parameter::Role::kWeights, node);
    } else if (node.op == OpKind::kReshape || node.op == OpKind::kTranspose) {
      if (keeps_channels(node, g.shape(node.inputs[0]), g.shape(node.outputs[0])))
        follows[at(node.outputs[0])] = follows[at(node.inputs[0])];
    } else if (node.op == OpKind::kAdd || node.op == OpKind::kMul) {
      for (const std::size_t i : {0u, 1u}) {
        ValueId id = node.inputs[i];
        const Node* repeat = producers[at(id)];
        if (repeat != nullptr && repeat->op == OpKind::kBroadcastTo) id = repeat->inputs[0];
        if (!follows[at(node.inputs[1 - i])] || !is_channel_constant(id, g.shape(node.outputs[0])))
          continue;
        take(id, node.op == OpKind::kAdd ? Parameter::Role::kBias : Parameter::Role::kScale, node);
        break;
      }
    }
  }
  return found;
}

bool keeps_head(const Graph& base) { return base.find_output(kLogits) != kNoValue; }

std::size_t layers_in(std::span<const Parameter> parameters) {
  return parameters.empty() ? 0 : parameters.back().layer + 1;
}

std::string name_of(const Parameter& p, bool is_head) {
  static constexpr const char* kRoles[] = {"weights", "scale", "bias"};
  const std::string layer = is_head ? "head" : concat("layer", p.layer);
  return concat(layer, "/", kRoles[static_cast<std::size_t>(p.role)]);
}

// Two constants of one layer may have one role: the later ones are numbered.
std::vector<std::string> names_of(const Graph& base, std::span<const Parameter> parameters) {
  const std::size_t layers = layers_in(parameters);
  std::map<std::string, std::size_t> seen;
  std::vector<std::string> names;
  for (const Parameter& p : parameters) {
    const std::string name = name_of(p, keeps_head(base) && p.layer + 1 == layers);
    const std::size_t before = seen[name]++;
    names.push_back(before == 0 ? name : concat(name, before + 1));
  }
  return names;
}

bool is_chosen(const Parameter& p, const TrainChoice& choice, std::size_t layers, bool own_head) {
  switch (choice.part) {
    case TrainPart::kHead:
      return own_head && p.layer + 1 == layers;
    case TrainPart::kLast:
      return p.layer + choice.count >= layers;
    case TrainPart::kBias:
      return p.role == Parameter::Role::kBias;
    case TrainPart::kNorm:
      return p.role != Parameter::Role::kWeights;
    case TrainPart::kLora:
      return p.role == Parameter::Role::kWeights &&
             (choice.layers == 0 || p.layer + choice.layers >= layers);
    case TrainPart::kAll:
      break;
  }
  return true;
}

// Gives the value of a parameter: a variable that is trained, or a constant that no longer is.
using ParameterSource =
    std::function<ValueId(Graph&, const std::string& name, std::shared_ptr<const Tensor> initial)>;

struct LoraShape {
  std::int64_t rows, columns, rank;
};

// Weights as a matrix [everything before the last axis, out]; depthwise weights are no matrix.
std::optional<LoraShape> lora_shape(const Graph& g, const Parameter& p, std::size_t rank) {
  const Shape& s = g.shape(p.constant);
  const bool depthwise = std::any_of(g.nodes().begin(), g.nodes().end(), [&](const Node& node) {
    return node.op == OpKind::kDepthwiseConv2d && node.inputs[1] == p.constant;
  });
  if (depthwise || s.rank() < 2) return std::nullopt;
  return LoraShape{s.elements() / s.back(), s.back(), static_cast<std::int64_t>(rank)};
}

// The graph with its chosen constants given by `source`, its outputs left out.
class Tuner {
 public:
  Tuner(const Graph& base, const FineTuneSpec& spec, ParameterSource source)
      : rewriter_(base), spec_(spec), source_(std::move(source)) {}

  Graph& graph() { return rewriter_.graph(); }

  // Of the base's own head, or of a new one on its features.
  Result<ValueId> logits() {
    const Graph& base = rewriter_.source();
    const bool own_head = keeps_head(base);
    const auto parameters = parameters_of(base);
    const auto names = names_of(base, parameters);
    const std::size_t layers = layers_in(parameters);
    std::size_t chosen = 0;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!is_chosen(parameters[i], spec_.train, layers, own_head)) continue;
      chosen += spec_.train.part == TrainPart::kLora ? add_correction(parameters[i], names[i])
                                                     : replace(parameters[i], names[i]);
    }
    if (chosen == 0 && (own_head || spec_.train.part != TrainPart::kHead)) {
      return fail(ErrorCode::kInvalidArgument, "fine-tuning: the base's ", layers,
                  " linear layers have nothing of the kind that is to be trained");
    }
    for (const Node& node : base.nodes()) rewriter_.copy(node);
    if (own_head) {
      INK_CHECK_OK(graph().status());
      return rewriter_.now(base.find_output(kLogits));
    }
    const ValueId features = base.find_output(kFeatures);
    if (features == kNoValue || base.shape(features).rank() != 2)
      return fail(ErrorCode::kInvalidArgument,
                  "fine-tuning: the base has no output 'features' of shape [1, f]");
    INK_CHECK_OK(graph().status());
    return new_head(rewriter_.now(features));
  }

 private:
  ValueId new_head(ValueId features) {
    Graph& g = graph();
    const std::int64_t width = g.shape(features)[1];
    const Shape weights{width, spec_.classes};
    const ValueId w = source_(
        g, kHeadWeights, std::make_shared<const Tensor>(Tensor::zeros({DType::kF32, weights})));
    const ValueId b =
        source_(g, kHeadBias,
                std::make_shared<const Tensor>(Tensor::zeros({DType::kF32, Shape{spec_.classes}})));
    return add(g, matmul(g, features, w), b);
  }

  std::size_t replace(const Parameter& p, const std::string& name) {
    rewriter_.map(p.constant, source_(graph(), name, rewriter_.source().value(p.constant).tensor));
    return 1;
  }

  std::size_t add_correction(const Parameter& p, const std::string& name) {
    const auto shape = lora_shape(rewriter_.source(), p, spec_.train.count);
    if (!shape) return 0;
    Graph& g = graph();
    const std::string a_name = name + "/lora_a", b_name = name + "/lora_b";
    const ValueId a = source_(
        g, a_name,
        std::make_shared<const Tensor>(he_normal({shape->rows, shape->rank}, spec_.seed, a_name)));
    const ValueId b = source_(g, b_name,
                              std::make_shared<const Tensor>(Tensor::zeros(
                                  {DType::kF32, Shape{shape->rank, shape->columns}})));
    const ValueId correction =
        reshape(g, matmul(g, a, b), Shape(rewriter_.source().shape(p.constant)));
    rewriter_.map(p.constant, add(g, rewriter_.now(p.constant), correction));
    return 1;
  }

  Rewriter rewriter_;
  FineTuneSpec spec_;
  ParameterSource source_;
};

TrainingGraph with_loss(Graph graph, ValueId logits, std::int64_t batch,
                        std::vector<ValueId> train) {
  const std::int64_t classes = graph.shape(logits).back();
  const ValueId targets = graph.input("targets", {DType::kF32, Shape{batch, classes}});
  const ValueId loss = softmax_cross_entropy(graph, logits, targets);
  graph.output(kLogits, logits);
  return {std::move(graph), loss, std::move(train)};
}

// Notes what it makes a variable of.
ParameterSource variables_into(std::vector<ValueId>& train) {
  return [&train](Graph& g, const std::string& name, std::shared_ptr<const Tensor> initial) {
    train.push_back(g.variable(name, std::move(initial)));
    return train.back();
  };
}

// Computes what depends on constants only, whatever its size: the corrected weights of LoRA.
Result<Graph> fold_products(const Graph& graph) {
  Rewriter rewriter(graph);
  for (const Node& node : graph.nodes()) {
    const bool constant = std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
      return rewriter.graph().value(rewriter.now(id)).kind == ValueKind::kConstant;
    });
    if (node.op != OpKind::kMatmul || !constant) {
      rewriter.copy(node);
      continue;
    }
    Graph product;
    product.output("product", product.append(node.op,
                                             {product.constant(graph.value(node.inputs[0]).tensor),
                                              product.constant(graph.value(node.inputs[1]).tensor)},
                                             node.attrs));
    INK_TRY(Session session, Session::create(product, {.optimize = false}));
    session.run();
    INK_TRY(const TensorView view, session.output("product"));
    rewriter.map(node.outputs[0], rewriter.graph().constant(Tensor::from<float>(
                                      view.shape(), std::span<const float>(view.span<float>()))));
  }
  return rewriter.finish();
}

bool follows_a_head(OpKind op) {
  switch (op) {
    case OpKind::kSoftmax:
    case OpKind::kLogSoftmax:
    case OpKind::kSigmoid:
    case OpKind::kReshape:
    case OpKind::kTranspose:
    case OpKind::kAdd:
    case OpKind::kMul:
    case OpKind::kClamp:
    case OpKind::kSumTo:
      return true;
    default:
      return false;
  }
}

Result<void> expect_one_input(const Graph& classifier) {
  if (classifier.inputs().size() != 1 || classifier.outputs().empty()) {
    return fail(ErrorCode::kInvalidArgument, "fine-tuning: the model has ",
                classifier.inputs().size(), " inputs and ", classifier.outputs().size(),
                " outputs, expected one input and at least one output");
  }
  return {};
}

Result<ValueId> head_input(const Graph& g) {
  const auto producers = producers_of(g);
  ValueId at = g.outputs()[0].value;
  while (true) {
    const Node* node = producers[static_cast<std::size_t>(at)];
    if (node != nullptr && is_linear(node->op) && is_f32_constant(g, node->inputs[1]))
      return node->inputs[0];
    if (node == nullptr || !follows_a_head(node->op)) break;
    const auto result = std::find_if(node->inputs.begin(), node->inputs.end(), [&](ValueId id) {
      return producers[static_cast<std::size_t>(id)] != nullptr &&
             producers[static_cast<std::size_t>(id)]->op != OpKind::kBroadcastTo;
    });
    if (result == node->inputs.end()) break;
    at = *result;
  }
  return fail(ErrorCode::kNotFound,
              "fine-tuning: the model does not end in a linear layer: name the value to cut after");
}

}  // namespace

Result<TrainChoice> parse_train_choice(const std::string_view given) {
  std::string_view text = given;
  const auto count_in = [](std::string_view digits) -> std::optional<std::size_t> {
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if (error != std::errc() || end != digits.data() + digits.size() || count == 0 || count > 4096)
      return std::nullopt;
    return count;
  };
  const auto counted = [&](std::string_view prefix, TrainPart part) -> std::optional<TrainChoice> {
    if (!text.starts_with(prefix)) return std::nullopt;
    const auto count = count_in(text.substr(prefix.size()));
    if (!count) return std::nullopt;
    return TrainChoice{part, *count};
  };
  if (text == "head") return TrainChoice{TrainPart::kHead, 0};
  if (text == "bias") return TrainChoice{TrainPart::kBias, 0};
  if (text == "norm") return TrainChoice{TrainPart::kNorm, 0};
  if (text == "all") return TrainChoice{TrainPart::kAll, 0};
  if (const auto choice = counted("last:", TrainPart::kLast)) return *choice;
  if (const std::size_t last = text.find(":last="); last != text.npos) {
    const auto layers = count_in(text.substr(last + 6));
    text = text.substr(0, last);
    if (auto choice = counted("lora:rank=", TrainPart::kLora); choice && layers) {
      choice->layers = *layers;
      return *choice;
    }
  } else if (const auto choice = counted("lora:rank=", TrainPart::kLora)) {
    return *choice;
  }
  return fail(ErrorCode::kInvalidArgument, "train: got '", given,
              "', expected head, last:N, bias, norm, lora:rank=N, lora:rank=N:last=M or all");
}

Result<Graph> keep_head(const Graph& classifier, bool keep_scales) {
  INK_CHECK_OK(expect_one_input(classifier));
  INK_TRY(const Graph g, simplify(classifier, keep_scales));
  const auto producers = producers_of(g);
  const Node* node = producers[static_cast<std::size_t>(g.outputs()[0].value)];
  while (node != nullptr && (node->op == OpKind::kReshape || node->op == OpKind::kTranspose))
    node = producers[static_cast<std::size_t>(node->inputs[0])];
  if (node == nullptr || node->op != OpKind::kSoftmax || g.shape(node->inputs[0]).rank() == 0 ||
      g.shape(node->inputs[0]).back() != g.shape(node->inputs[0]).elements()) {
    return fail(ErrorCode::kUnsupported,
                "fine-tuning: the model does not end in a softmax over its classes");
  }
  Rewriter rewriter(g);
  for (const Node& each : g.nodes()) rewriter.copy(each);
  Graph& kept = rewriter.graph();
  const ValueId logits = rewriter.now(node->inputs[0]);
  kept.output(kLogits, reshape(kept, logits, {1, kept.shape(logits).elements()}));
  INK_CHECK_OK(kept.status());
  return simplify(kept, keep_scales);
}

Result<HeadSplit> split_head(const Graph& base) {
  INK_TRY(const ValueId cut, head_input(base));
  Rewriter before(base);
  for (const Node& node : base.nodes()) before.copy(node);
  before.graph().output(kFeatures, before.now(cut));
  INK_CHECK_OK(before.graph().status());
  HeadSplit split;
  INK_TRY(split.before, eliminate(before.graph()));

  Graph& g = split.head;
  std::map<ValueId, ValueId> now = {{cut, g.input(kFeatures, base.spec(cut))}};
  const auto is_known = [&](ValueId id) {
    if (base.value(id).kind == ValueKind::kConstant)
      now.try_emplace(id, g.constant(base.value(id).tensor));
    return now.contains(id);
  };
  for (const Node& node : base.nodes()) {
    if (now.contains(node.outputs[0]) ||
        !std::all_of(node.inputs.begin(), node.inputs.end(), is_known))
      continue;
    std::vector<ValueId> inputs;
    for (const ValueId id : node.inputs) inputs.push_back(now.at(id));
    const ValueId first = g.append(node.op, inputs, node.attrs);
    for (std::uint32_t i = 0; i < node.outputs.size(); ++i)
      now[node.outputs[i]] = Graph::result_of(first, i);
  }
  const ValueId logits = base.find_output(kLogits);
  if (!now.contains(logits)) {
    return fail(ErrorCode::kUnsupported,
                "fine-tuning: the logits depend on more than what the last layer takes");
  }
  g.output(kLogits, now.at(logits));
  INK_CHECK_OK(g.status());
  INK_TRY(g, eliminate(Graph(g)));
  return split;
}

Result<Graph> cut_head(const Graph& classifier, std::string_view features_name, bool keep_scales) {
  INK_CHECK_OK(expect_one_input(classifier));
  // Simplified, images are channels-last.
  INK_TRY(const Graph g, simplify(classifier, keep_scales));
  if (features_name.empty()) {
    INK_TRY(const ValueId features, head_input(g));
    return keep_up_to(g, features, keep_scales);
  }
  const auto producers = producers_of(g);
  for (std::size_t v = 0; v < g.values().size(); ++v) {
    const ValueId id{static_cast<std::uint32_t>(v)};
    const Node* node = producers[v];
    if (node == nullptr || g.value(id).name != features_name) continue;
    return keep_up_to(g, node->op == OpKind::kTranspose ? node->inputs[0] : id, keep_scales);
  }
  return fail(ErrorCode::kNotFound, "fine-tuning: the model has no value named '", features_name,
              "'");
}

Result<Graph> reinitialize(const Graph& base, std::uint64_t seed) {
  Rewriter rewriter(base);
  const auto parameters = parameters_of(base);
  const auto names = names_of(base, parameters);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = parameters[i];
    if (p.role == Parameter::Role::kScale) continue;
    const Shape shape = base.shape(p.constant);
    rewriter.map(p.constant, rewriter.graph().constant(p.role == Parameter::Role::kWeights
                                                           ? he_normal(shape, seed, names[i])
                                                           : Tensor::zeros({DType::kF32, shape})));
  }
  for (const Node& node : base.nodes()) rewriter.copy(node);
  return rewriter.finish();
}

Result<TrainingGraph> training_graph(const Graph& base, std::int64_t batch,
                                     const FineTuneSpec& spec) {
  INK_TRY(const Graph batched, with_batch(base, batch));
  std::vector<ValueId> train;
  Tuner tuner(batched, spec, variables_into(train));
  INK_TRY(const ValueId logits, tuner.logits());
  TrainingGraph training = with_loss(std::move(tuner.graph()), logits, batch, train);
  INK_CHECK_OK(training.graph.status());
  return training;
}

Graph features_base(std::int64_t features) {
  Graph g;
  const Shape shape{1, features};
  g.output(kFeatures, reshape(g, g.input(kFeatures, {DType::kF32, shape}), shape));
  return g;
}

Result<Graph> trained_graph(const Graph& base, const FineTuneSpec& spec,
                            const TrainedValues& values) {
  Result<void> status;
  const ParameterSource trained = [&](Graph& g, const std::string& name,
                                      std::shared_ptr<const Tensor> initial) {
    const auto found = values.find(name);
    const bool is_new = !keeps_head(base) && (name == kHeadWeights || name == kHeadBias);
    if (found == values.end()) {
      if (is_new && status)
        status = fail(ErrorCode::kInvalidArgument, "fine-tuning: no value for ", name);
      return g.constant(std::move(initial));
    }
    if (found->second.spec() != initial->spec() && status)
      status = fail(ErrorCode::kInvalidArgument, "fine-tuning: ", name, " is ",
                    found->second.spec(), ", expected ", initial->spec());
    return g.constant(found->second.clone());
  };
  Tuner tuner(base, spec, trained);
  INK_TRY(const ValueId logits, tuner.logits());
  INK_CHECK_OK(status);
  Graph& g = tuner.graph();
  g.output("probabilities", softmax(g, logits));
  INK_CHECK_OK(g.status());
  INK_TRY(const Graph folded, fold_products(g));
  return fold_constants(folded);
}

}  // namespace inkling
