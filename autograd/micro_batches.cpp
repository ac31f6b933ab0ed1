#include "autograd/micro_batches.h"

#include <algorithm>

#include "runtime/ops.h"

namespace inkling {

namespace {

std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

class Joiner {
 public:
  Joiner(const Graph& piece, std::size_t count)
      : piece_(piece),
        count_(static_cast<std::int64_t>(count)),
        shared_(piece.values().size(), kNoValue) {
    for (const ValueId id : piece.inputs()) {
      TensorSpec spec = piece.spec(id);
      if (spec.shape.rank() > 0) spec.shape = spec.shape.with(0, spec.shape[0] * count_);
      shared_[at(id)] = graph_.input(piece.value(id).name, spec);
    }
    for (const ValueId id : piece.variables())
      shared_[at(id)] = graph_.variable(piece.value(id).name, piece.value(id).tensor);
  }

  // An output to be joined; run() gives them in this order.
  void join(ValueId value, bool sum) { joints_.push_back({value, sum, kNoValue, {}}); }

  std::vector<ValueId> run() {
    for (std::int64_t i = 0; i < count_; ++i) append_piece(i);
    std::vector<ValueId> values;
    for (const Joint& joint : joints_) {
      const bool one = joint.parts.size() == 1;
      values.push_back(joint.sum ? joint.total
                       : one     ? joint.parts[0]
                                 : concat(graph_, joint.parts, 0));
    }
    return values;
  }

  Graph& graph() { return graph_; }
  ValueId now(ValueId id) {
    if (now_[at(id)] == kNoValue) now_[at(id)] = shared(id);
    return now_[at(id)];
  }

 private:
  struct Joint {
    ValueId value;
    bool sum;
    ValueId total;
    std::vector<ValueId> parts;
  };

  ValueId shared(ValueId id) {
    ValueId& value = shared_[at(id)];
    if (value == kNoValue) value = graph_.constant(piece_.value(id).tensor);
    return value;
  }

  ValueId rows_of(ValueId input, std::int64_t i) {
    const Shape& shape = piece_.shape(input);
    std::vector<std::int64_t> starts(shape.rank());
    starts[0] = i * shape[0];
    return slice(graph_, shared_[at(input)], starts, {shape.dims().begin(), shape.dims().end()});
  }

  void append_piece(std::int64_t i) {
    now_.assign(piece_.values().size(), kNoValue);
    for (const ValueId id : piece_.inputs()) {
      if (count_ > 1 && piece_.shape(id).rank() > 0) now_[at(id)] = rows_of(id, i);
    }
    for (const Node& node : piece_.nodes()) {
      std::vector<ValueId> inputs;
      for (const ValueId id : node.inputs) inputs.push_back(now(id));
      const ValueId first = graph_.append(node.op, inputs, node.attrs);
      for (std::uint32_t o = 0; o < node.outputs.size(); ++o) {
        now_[at(node.outputs[o])] = Graph::result_of(first, o);
        if (const auto& name = piece_.value(node.outputs[o]).name; !name.empty())
          graph_.label(now(node.outputs[o]), name);
        take(node.outputs[o]);  // at once, so that a gradient lives no longer than it must
      }
    }
    for (const Joint& joint : joints_) {
      if (piece_.value(joint.value).kind != ValueKind::kResult) take(joint.value);
    }
  }

  void take(ValueId id) {
    for (Joint& joint : joints_) {
      if (joint.value != id) continue;
      if (joint.sum) {
        joint.total = joint.total == kNoValue ? now(id) : add(graph_, joint.total, now(id));
      } else {
        joint.parts.push_back(now(id));
      }
    }
  }

  const Graph& piece_;
  std::int64_t count_;
  Graph graph_;
  std::vector<ValueId> shared_, now_;  // by value of the piece
  std::vector<Joint> joints_;
};

}  // namespace

Result<Pieces> in_pieces(const Graph& piece, std::size_t count,
                         std::span<const TakenOutput> taken) {
  INK_CHECK_OK(piece.status());
  if (count == 0 || (count > 1 && !piece.updates().empty())) {
    return fail(ErrorCode::kInvalidArgument, "micro-batches: ", count, " pieces of a graph with ",
                piece.updates().size(), " updates of its own, expected one or more of one without");
  }
  Joiner joiner(piece, count);
  for (const TakenOutput& output : taken) {
    const ValueId id = piece.find_output(output.name);
    if (id == kNoValue)
      return fail(ErrorCode::kInvalidArgument, "micro-batches: no output '", output.name, "'");
    joiner.join(id, output.sum);
  }
  std::vector<NamedValue> others;
  for (const NamedValue& output : piece.outputs()) {
    if (std::any_of(taken.begin(), taken.end(),
                    [&](const TakenOutput& t) { return t.name == output.name; }))
      continue;
    others.push_back(output);
    joiner.join(output.value, piece.shape(output.value).rank() == 0);
  }
  std::vector<ValueId> values = joiner.run();
  Graph& graph = joiner.graph();
  for (std::size_t i = 0; i < others.size(); ++i) {
    ValueId value = values[taken.size() + i];
    if (count > 1 && graph.shape(value).rank() == 0)
      value = scale(graph, value, 1.0 / static_cast<double>(count));
    graph.output(others[i].name, value);
  }
  for (const Update& update : piece.updates())
    graph.update(joiner.now(update.variable), joiner.now(update.value));
  INK_CHECK_OK(graph.status());
  values.resize(taken.size());
  return Pieces{std::move(graph), std::move(values)};
}

}  // namespace inkling
