#include "runtime/storage_plan.h"

#include <algorithm>

#include "runtime/op.h"
#include "runtime/passes/rewriter.h"

namespace inkling {

namespace {

constexpr std::size_t kNever = static_cast<std::size_t>(-1);

std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

class Builder {
 public:
  Builder(const Graph& graph, bool parts) : graph_(graph), parts_(parts) {
    const std::size_t count = graph.values().size();
    plan_.root.resize(count);
    for (std::size_t i = 0; i < count; ++i) plan_.root[i] = ValueId{static_cast<std::uint32_t>(i)};
    plan_.offset.assign(count, 0);
    plan_.pitch.assign(count, 0);
    plan_.first.assign(count, 1);
    plan_.last.assign(count, 0);
    plan_.view.assign(graph.nodes().size(), false);
    reads_until_.assign(count, 0);
    lives_on_.assign(count, false);
  }

  StoragePlan build() {
    find_views();
    if (parts_) find_parts();
    find_last_reads();
    update_in_place();
    write_over_inputs();
    find_lifetimes();
    return std::move(plan_);
  }

 private:
  // Views of results only: a view of an input or a variable would let an update change it under a
  // reader.
  void find_views() {
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (node.op != OpKind::kReshape) continue;
      const ValueId source = plan_.root[at(node.inputs[0])];
      if (graph_.value(source).kind != ValueKind::kResult) continue;
      plan_.root[at(node.outputs[0])] = source;
      plan_.view[i] = true;
    }
  }

  // Concatenations of channels whose every part is the result of a convolution that nobody else
  // reads.
  void find_parts() {
    const std::vector<std::size_t> uses = count_uses(graph_);
    std::vector<bool> writes_parts(graph_.values().size(), false);
    for (const Node& node : graph_.nodes()) {
      writes_parts[at(node.outputs[0])] = node.op == OpKind::kConv2d && node.inputs.size() < 4 &&
                                          graph_.spec(node.outputs[0]).dtype == DType::kF32;
    }
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (node.op != OpKind::kConcat || node.attrs.integer(Attr::kAxis) != 3) continue;
      if (!std::all_of(node.inputs.begin(), node.inputs.end(),
                       [&](ValueId part) { return writes_parts[at(part)] && uses[at(part)] == 1; }))
        continue;
      const ValueId whole = node.outputs[0];
      std::int64_t offset = 0;
      for (const ValueId part : node.inputs) {
        plan_.root[at(part)] = whole;
        plan_.offset[at(part)] = offset;
        plan_.pitch[at(part)] = graph_.shape(whole)[3];
        offset += graph_.shape(part)[3];
      }
      plan_.view[i] = true;
    }
  }

  void find_last_reads() {
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      for (const ValueId input : graph_.nodes()[i].inputs)
        reads_until_[at(plan_.root[at(input)])] = i;
    }
    for (const NamedValue& output : graph_.outputs())
      lives_on_[at(plan_.root[at(output.value)])] = true;
  }

  // Whether the node takes the old value, and may put the new one in its place.
  static bool may_overwrite(const Node& node, const Update& update) {
    const auto reads = std::count(node.inputs.begin(), node.inputs.end(), update.variable);
    if (op_def(node.op).elementwise) return reads > 0;
    return op_def(node.op).changes_first && reads == 1 && node.inputs[0] == update.variable &&
           node.outputs[0] == update.value;
  }

  void update_in_place() {
    std::vector<std::size_t> producer(graph_.values().size(), kNever);
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      for (const ValueId output : graph_.nodes()[i].outputs) producer[at(output)] = i;
    }
    for (const Update& update : graph_.updates()) {
      const ValueId root = plan_.root[at(update.value)];
      const std::size_t i = producer[at(update.value)];
      const Node& node = graph_.nodes()[i];
      const bool own = root == update.value && node.op != OpKind::kReshape;
      if (own && may_overwrite(node, update) && reads_until_[at(update.variable)] <= i) {
        plan_.root[at(root)] = update.variable;
        redirect(root, update.variable);
      } else {
        plan_.copies.push_back(update);
        lives_on_[at(root)] = true;
      }
    }
  }

  void write_over_inputs() {
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (!op_def(node.op).elementwise || plan_.view[i] || node.outputs.size() != 1) continue;
      const ValueId output = node.outputs[0];
      if (plan_.root[at(output)] != output) continue;
      for (const ValueId input : node.inputs) {
        const ValueId root = plan_.root[at(input)];
        if (graph_.value(root).kind != ValueKind::kResult || lives_on_[at(root)] ||
            reads_until_[at(root)] != i)
          continue;
        if (graph_.spec(input) != graph_.spec(output) ||
            graph_.spec(root).bytes() != graph_.spec(output).bytes())
          continue;
        redirect(output, root);
        reads_until_[at(root)] = std::max(reads_until_[at(root)], reads_until_[at(output)]);
        lives_on_[at(root)] = lives_on_[at(root)] || lives_on_[at(output)];
        break;
      }
    }
  }

  // Every value that used the storage of `from` uses that of `to`.
  void redirect(ValueId from, ValueId to) {
    for (std::size_t v = at(from); v < plan_.root.size(); ++v) {
      if (plan_.root[v] == from) plan_.root[v] = to;
    }
  }

  void find_lifetimes() {
    const std::size_t end = graph_.nodes().size();
    const auto touch = [&](ValueId value, std::size_t step) {
      const std::size_t root = at(plan_.root[at(value)]);
      if (plan_.last[root] < plan_.first[root]) plan_.first[root] = plan_.last[root] = step;
      plan_.last[root] = std::max(plan_.last[root], step);
    };
    for (const ValueId input : graph_.inputs()) {
      touch(input, 0);
      touch(input, end);
    }
    for (std::size_t i = 0; i < end; ++i) {
      for (const ValueId input : graph_.nodes()[i].inputs) touch(input, i);
      for (const ValueId output : graph_.nodes()[i].outputs) touch(output, i);
    }
    for (const NamedValue& output : graph_.outputs()) touch(output.value, end);
    for (const Update& copy : plan_.copies) touch(copy.value, end);
  }

  const Graph& graph_;
  const bool parts_;
  StoragePlan plan_;
  std::vector<std::size_t> reads_until_;  // by root: the last node that reads it
  std::vector<bool> lives_on_;            // by root: must survive the last step
};

}  // namespace

StoragePlan plan_storage(const Graph& graph, bool parts) { return Builder(graph, parts).build(); }

}  // namespace inkling
