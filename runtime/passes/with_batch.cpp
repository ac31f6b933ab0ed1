// Values that depend on an input are batched: their first axis counts examples, or examples times
// something, example by example. Every op is asked whether it keeps this true; ops that might not
// are refused, so that no result mixes examples.

#include <algorithm>

#include "runtime/ops.h"
#include "runtime/passes/passes.h"
#include "runtime/passes/rewriter.h"

namespace inkling {

namespace {

class Batcher {
 public:
  Batcher(const Graph& source, std::int64_t batch)
      : source_(source),
        batch_(batch),
        now_(source.values().size(), kNoValue),
        batched_(source.values().size()),
        producers_(source.values().size(), nullptr) {}

  Result<Graph> run() {
    for (const ValueId id : source_.variables())
      map(id, target_.variable(source_.value(id).name, source_.value(id).tensor), false);
    for (const ValueId id : source_.inputs()) {
      const TensorSpec& spec = source_.spec(id);
      if (spec.shape.rank() == 0 || spec.shape[0] != 1)
        return fail(ErrorCode::kInvalidArgument, "with_batch: input '", source_.value(id).name,
                    "' ", spec, ": expected a first axis of size 1");
      map(id, target_.input(source_.value(id).name, {spec.dtype, spec.shape.with(0, batch_)}),
          true);
    }
    for (const Node& node : source_.nodes()) INK_CHECK_OK(add_node(node));
    for (const NamedValue& output : source_.outputs())
      target_.output(output.name, now(output.value));
    INK_CHECK_OK(target_.status());
    return std::move(target_);
  }

 private:
  static std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }
  bool batched(ValueId id) const { return batched_[at(id)]; }
  void map(ValueId old, ValueId value, bool is_batched) {
    now_[at(old)] = value;
    batched_[at(old)] = is_batched;
  }

  ValueId now(ValueId old) {
    if (now_[at(old)] == kNoValue && source_.value(old).kind == ValueKind::kConstant)
      now_[at(old)] = target_.constant(source_.value(old).tensor);
    return now_[at(old)];
  }

  Result<void> add_node(const Node& node) {
    const bool any = std::any_of(node.inputs.begin(), node.inputs.end(),
                                 [&](ValueId id) { return batched(id); });
    std::vector<ValueId> inputs;
    for (const ValueId id : node.inputs) inputs.push_back(now(id));
    Attrs attrs = node.attrs;
    if (any) {
      const char* why = adapt(node, inputs, attrs);
      if (why != nullptr)
        return fail(ErrorCode::kUnsupported, "with_batch: ", op_name(node.op), " '",
                    source_.value(node.outputs[0]).name, "': ", why);
    }
    const ValueId first = target_.append(node.op, inputs, std::move(attrs));
    INK_CHECK_OK(target_.status());
    for (std::uint32_t i = 0; i < node.outputs.size(); ++i) {
      producers_[at(node.outputs[i])] = &node;
      const ValueId old = node.outputs[i], value = Graph::result_of(first, i);
      map(old, value, any);
      if (const auto& name = source_.value(old).name; !name.empty()) target_.label(value, name);
      const Shape &before = source_.shape(old), &after = target_.shape(value);
      if (any && (before.rank() == 0 || after != before.with(0, before[0] * batch_)))
        return fail(ErrorCode::kUnsupported, "with_batch: ", op_name(node.op), " '",
                    source_.value(old).name, "': the examples do not stay in the first axis");
    }
    return {};
  }

  // Makes the node's inputs and attributes those of a batch. Null: each example still depends on
  // itself alone; else why that is not so.
  const char* adapt(const Node& node, std::vector<ValueId>& inputs, Attrs& attrs) {
    switch (node.op) {
      case OpKind::kNeg:
      case OpKind::kExp:
      case OpKind::kLog:
      case OpKind::kSqrt:
      case OpKind::kTanh:
      case OpKind::kSigmoid:
      case OpKind::kErf:
      case OpKind::kClamp:
      case OpKind::kSin:
      case OpKind::kCos:
      case OpKind::kAbs:
      case OpKind::kSign:
      case OpKind::kFloor:
      case OpKind::kCeil:
      case OpKind::kRound:
      case OpKind::kCast:
      case OpKind::kMaxPool:
      case OpKind::kAvgPool:
        return nullptr;
      case OpKind::kAdd:
      case OpKind::kSub:
      case OpKind::kMul:
      case OpKind::kDiv:
      case OpKind::kMaximum:
      case OpKind::kMinimum:
      case OpKind::kPow:
      case OpKind::kEqual:
      case OpKind::kLess:
      case OpKind::kLessEqual:
      case OpKind::kLogicalAnd:
      case OpKind::kLogicalOr:
      case OpKind::kWhere:
        repeat_unbatched(node, inputs, source_.shape(node.outputs[0]));
        return nullptr;
      case OpKind::kReshape:
      case OpKind::kBroadcastTo:
      case OpKind::kSumTo:
      case OpKind::kMaxTo:
      case OpKind::kMinTo:
      case OpKind::kConv2dInputGradient:
        return adapt_shape(node, attrs);
      case OpKind::kTranspose:
        return attrs.integers(Attr::kPermutation)[0] == 0 ? nullptr : "moves the first axis";
      case OpKind::kSlice:
        return adapt_slice(node, attrs);
      case OpKind::kPad:
        return attrs.integers(Attr::kBefore)[0] == 0 && attrs.integers(Attr::kAfter)[0] == 0
                   ? nullptr
                   : "pads the first axis";
      case OpKind::kConcat:
        if (attrs.integer(Attr::kAxis) == 0) return "joins along the first axis";
        return repeat_parts(node, inputs) ? nullptr : "joins a constant of another size";
      case OpKind::kSoftmax:
      case OpKind::kLogSoftmax:
      case OpKind::kTopK:
        return source_.shape(node.inputs[0]).rank() > 1 ? nullptr : "works along the first axis";
      case OpKind::kCumsum:
        return attrs.integer(Attr::kAxis) != 0 ? nullptr : "works along the first axis";
      case OpKind::kGather:
        if (!batched(node.inputs[0]))
          return attrs.integer(Attr::kAxis) == 0 ? nullptr : "mixes axes";
        return !batched(node.inputs[1]) && attrs.integer(Attr::kAxis) != 0
                   ? nullptr
                   : "chooses among examples";
      case OpKind::kConv2d:
      case OpKind::kDepthwiseConv2d:
        for (std::size_t i = 1; i < node.inputs.size(); ++i) {
          if (batched(node.inputs[i])) return "has weights that depend on an input";
        }
        return nullptr;
      case OpKind::kMatmul:
        return adapt_matmul(node, inputs);
      default:
        return "not known to keep examples apart";
    }
  }

  const char* adapt_shape(const Node& node, Attrs& attrs) {
    std::vector<std::int64_t> dims = attrs.integers(Attr::kShape);
    if (dims.empty() ||
        (node.op != OpKind::kReshape && dims.size() != source_.shape(node.inputs[0]).rank()))
      return "takes the first axis away";
    if (node.op != OpKind::kReshape && node.op != OpKind::kConv2dInputGradient &&
        dims[0] != source_.shape(node.inputs[0])[0])
      return "reduces or repeats along the first axis";
    dims[0] *= batch_;
    attrs.set(Attr::kShape, std::move(dims));
    return nullptr;
  }

  const char* adapt_slice(const Node& node, Attrs& attrs) {
    std::vector<std::int64_t> sizes = attrs.integers(Attr::kSizes);
    if (attrs.integers(Attr::kStarts)[0] != 0 || sizes[0] != source_.shape(node.inputs[0])[0])
      return "takes a part of the first axis";
    sizes[0] *= batch_;
    attrs.set(Attr::kSizes, std::move(sizes));
    return nullptr;
  }

  // A matrix for each example, or rows of examples times one matrix.
  const char* adapt_matmul(const Node& node, std::vector<ValueId>& inputs) {
    const Shape& a = source_.shape(node.inputs[0]);
    if (a.rank() > 2) {
      for (std::size_t i = 0; i < 2; ++i) {
        if (batched(node.inputs[i])) continue;
        if (source_.shape(node.inputs[i])[0] != 1) return "repeats along the first axis";
        repeat(inputs[i]);
      }
      return nullptr;
    }
    const bool rows = batched(node.inputs[0]) && !batched(node.inputs[1]) &&
                      node.attrs.integer(Attr::kTransposeA) == 0;
    return rows ? nullptr : "mixes examples";
  }

  // Operands that are the same for every example take the batch's size where shapes must agree.
  void repeat_unbatched(const Node& node, std::vector<ValueId>& inputs, const Shape& out) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (batched(node.inputs[i])) continue;
      const ValueId once = unrepeated(node.inputs[i]);
      const Shape &s = source_.shape(once), &given = source_.shape(node.inputs[i]);
      if (given.rank() == 0 || given.rank() != out.rank()) continue;
      if (s.rank() < out.rank() || s[0] == 1)
        inputs[i] = broadcast_to(target_, now(once), given.with(0, out[0] * batch_));
    }
  }

  // What a broadcast_to repeats, else the value itself.
  ValueId unrepeated(ValueId id) const {
    const Node* node = producers_[at(id)];
    return node != nullptr && node->op == OpKind::kBroadcastTo ? node->inputs[0] : id;
  }

  bool repeat_parts(const Node& node, std::vector<ValueId>& inputs) {
    repeat_unbatched(node, inputs, source_.shape(node.outputs[0]));
    return source_.shape(node.outputs[0])[0] == 1 ||
           std::all_of(node.inputs.begin(), node.inputs.end(),
                       [&](ValueId id) { return batched(id); });
  }

  void repeat(ValueId& value) {
    value = broadcast_to(target_, value, Shape(target_.shape(value)).with(0, batch_));
  }

  const Graph& source_;
  const std::int64_t batch_;
  Graph target_;
  std::vector<ValueId> now_;
  std::vector<bool> batched_;
  std::vector<const Node*> producers_;
};

}  // namespace

Result<Graph> with_batch(const Graph& graph, std::int64_t batch) {
  if (batch < 1) return fail(ErrorCode::kInvalidArgument, "with_batch: ", batch, " examples");
  return Batcher(graph, batch).run();
}

}  // namespace inkling
