#include "runtime/session.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "runtime/passes/passes.h"
#include "runtime/planner.h"
#include "runtime/storage_plan.h"

namespace inkling {

struct Session::Plan {
  Graph graph;
  std::unique_ptr<ThreadPool> pool;
  AlignedBytes arena;
  std::size_t arena_bytes = 0;
  std::size_t arena_lower_bound = 0;
  std::vector<Tensor> variables;  // in the order of graph.variables()
  AlignedBytes packed;            // the constant weights of all steps
  std::size_t packed_bytes = 0;
  std::vector<TensorView> views;     // by value
  std::vector<TensorView> operands;  // inputs and outputs of all steps, one after another

  struct Step {
    void (*run)(const KernelArgs&);
    const Kernel* kernel;  // null: reference
    std::size_t node;
    std::size_t first_operand, inputs, outputs;
    std::byte* scratch;
    const std::byte* packed;
    std::int64_t out_pitch;
  };
  std::vector<Step> steps;

  struct Copy {
    void* to;
    const void* from;
    std::size_t bytes;
  };
  std::vector<Copy> copies;
};

std::vector<TensorSpec> specs_of(const Graph& graph, std::span<const ValueId> ids) {
  std::vector<TensorSpec> specs;
  for (const ValueId id : ids) specs.push_back(graph.spec(id));
  return specs;
}

NodeSpec node_spec(const Graph& graph, const Node& node, std::span<const TensorSpec> in,
                   std::span<const TensorSpec> out, unsigned threads) {
  const bool constant =
      node.inputs.size() > 1 && graph.value(node.inputs[1]).kind == ValueKind::kConstant;
  return {node.op, in, out, node.attrs, constant, threads};
}

namespace {

Result<TensorView> view_of(std::span<const TensorView> views, ValueId id, const char* kind,
                           std::string_view name) {
  if (id == kNoValue)
    return fail(ErrorCode::kNotFound, "session: no ", kind, " named '", name, "'");
  return views[static_cast<std::size_t>(id)];
}

// Everything that is decided before anything is allocated.
struct Draft {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  struct Step {
    std::size_t node;
    const Kernel* kernel;      // null: reference
    std::size_t packed_bytes;  // of the constant weights; 0: the row does not pack them
    std::size_t packed;        // where among all that is packed
    std::size_t scratch;       // a lifetime, or kNone
  };

  Graph graph;
  StoragePlan storage;
  std::vector<Step> steps;
  std::vector<Lifetime> lifetimes;
  std::vector<std::size_t> value_lifetime;  // by value: a lifetime, or kNone
  ArenaLayout layout;
  std::size_t packed_bytes = 0;

  std::int64_t pitch_of(const Node& node) const {
    return storage.pitch[static_cast<std::size_t>(node.outputs[0])];
  }

  // Chooses kernels: their scratch memory is part of the arena.
  void choose_steps(const PlanOptions& options, unsigned threads) {
    for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
      if (storage.view[i]) continue;
      const Node& node = graph.nodes()[i];
      const auto in = specs_of(graph, node.inputs);
      const auto out = specs_of(graph, node.outputs);
      NodeSpec spec = node_spec(graph, node, in, out, threads);
      spec.out_pitch = pitch_of(node);
      const Kernel* kernel = nullptr;
      if (options.kernels) kernel = options.kernels->find(cpu_kernels(), spec);
      if (!kernel && !options.reference_only) kernel = choose_kernel(cpu_kernels(), spec);
      INK_INVARIANT(kernel != nullptr || spec.out_pitch == 0);
      const bool packs = kernel && kernel->packed_bytes && spec.constant_weights;
      const std::size_t packed = packs ? aligned_bytes(kernel->packed_bytes(spec)) : 0;
      const std::size_t scratch = kernel && kernel->scratch_bytes ? kernel->scratch_bytes(spec) : 0;
      steps.push_back({i, kernel, packed, packed_bytes, scratch > 0 ? lifetimes.size() : kNone});
      packed_bytes += packed;
      if (scratch > 0) lifetimes.push_back({scratch, i, i});
    }
  }

  void lay_out() {
    value_lifetime.assign(graph.values().size(), kNone);
    for (std::size_t v = 0; v < graph.values().size(); ++v) {
      const Value& value = graph.values()[v];
      const bool in_arena = value.kind == ValueKind::kInput || value.kind == ValueKind::kResult;
      if (!in_arena || storage.root[v] != ValueId{static_cast<std::uint32_t>(v)} ||
          storage.last[v] < storage.first[v])
        continue;
      value_lifetime[v] = lifetimes.size();
      lifetimes.push_back({value.spec.bytes(), storage.first[v], storage.last[v]});
    }
    layout = plan_arena(lifetimes);
  }
};

unsigned threads_of(const PlanOptions& options) {
  return options.executor.run != nullptr ? std::max(1u, options.executor.threads)
                                         : std::max(1u, options.threads);
}

Result<Draft> draft(const Graph& source, const PlanOptions& options) {
  INK_CHECK_OK(source.status());
  Draft d;
  if (options.optimize) {
    INK_TRY(d.graph, optimize(source));
  } else {
    d.graph = source;
  }
  d.storage = plan_storage(d.graph, !options.reference_only);
  d.choose_steps(options, threads_of(options));
  d.lay_out();
  return d;
}

}  // namespace

Result<std::size_t> Session::memory_bytes(const Graph& source, const PlanOptions& options) {
  INK_TRY(const Draft d, draft(source, options));
  std::size_t bytes = d.layout.bytes + d.packed_bytes;
  for (const ValueId id : d.graph.variables()) bytes += d.graph.spec(id).bytes();
  return bytes;
}

Result<Session> Session::create(const Graph& source, const PlanOptions& options) {
  INK_TRY(Draft d, draft(source, options));
  auto plan = std::make_unique<Plan>();
  plan->graph = std::move(d.graph);
  const Graph& graph = plan->graph;
  plan->pool = options.executor.run != nullptr ? std::make_unique<ThreadPool>(options.executor)
                                               : std::make_unique<ThreadPool>(options.threads);
  INK_INVARIANT(plan->pool->threads() == threads_of(options));
  // Before there is an arena: so its memory and that of the weights' file are not needed at once.
  if (d.packed_bytes > 0) plan->packed = allocate_aligned(d.packed_bytes);
  for (const Draft::Step& step : d.steps) {
    if (step.packed_bytes == 0) continue;
    const Node& node = graph.nodes()[step.node];
    const auto in = specs_of(graph, node.inputs), out = specs_of(graph, node.outputs);
    const Tensor& weights = *graph.value(node.inputs[1]).tensor;
    step.kernel->pack(node_spec(graph, node, in, out, plan->pool->threads()),
                      {weights.spec(), const_cast<void*>(weights.raw())},
                      plan->packed.get() + step.packed);
    weights.release_pages();
  }
  plan->arena = allocate_aligned(d.layout.bytes);
  plan->arena_bytes = d.layout.bytes;
  plan->arena_lower_bound = inkling::arena_lower_bound(d.lifetimes);
  plan->packed_bytes = d.packed_bytes;
  const auto address = [&](std::size_t lifetime) {
    return lifetime == Draft::kNone ? nullptr : plan->arena.get() + d.layout.offsets[lifetime];
  };

  // Every value gets its address.
  plan->views.resize(graph.values().size());
  for (const ValueId id : graph.variables()) {
    plan->variables.push_back(graph.value(id).tensor->clone());
    plan->views[static_cast<std::size_t>(id)] = plan->variables.back().view();
  }
  for (std::size_t v = 0; v < graph.values().size(); ++v) {
    const Value& value = graph.values()[v];
    if (value.kind == ValueKind::kConstant) {
      plan->views[v] = {value.spec, const_cast<void*>(value.tensor->raw())};
    } else if (d.value_lifetime[v] != Draft::kNone) {
      plan->views[v] = {value.spec, address(d.value_lifetime[v])};
    }
  }
  for (std::size_t v = 0; v < graph.values().size(); ++v) {
    const auto root = static_cast<std::size_t>(d.storage.root[v]);
    const TensorSpec& spec = graph.values()[v].spec;
    auto* bytes = static_cast<std::byte*>(plan->views[root].data);
    const auto offset = static_cast<std::size_t>(d.storage.offset[v]) * dtype_bytes(spec.dtype);
    plan->views[v] = {spec, bytes == nullptr ? nullptr : bytes + offset};
  }
  for (const Draft::Step& step : d.steps) {
    const Node& node = graph.nodes()[step.node];
    plan->steps.push_back(
        {.run = step.kernel ? step.kernel->run : op_def(node.op).reference,
         .kernel = step.kernel,
         .node = step.node,
         .first_operand = plan->operands.size(),
         .inputs = node.inputs.size(),
         .outputs = node.outputs.size(),
         .scratch = address(step.scratch),
         .packed = step.packed_bytes == 0 ? nullptr : plan->packed.get() + step.packed,
         .out_pitch = d.pitch_of(node)});
    for (const auto* ids : {&node.inputs, &node.outputs}) {
      for (const ValueId id : *ids)
        plan->operands.push_back(plan->views[static_cast<std::size_t>(id)]);
    }
  }
  for (const Update& copy : d.storage.copies) {
    const TensorView to = plan->views[static_cast<std::size_t>(copy.variable)];
    plan->copies.push_back(
        {to.data, plan->views[static_cast<std::size_t>(copy.value)].data, to.spec.bytes()});
  }
  return Session(std::move(plan));
}

Session::Session(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

// Calls after(i) behind each step.
template <typename After>
void Session::run_steps(const After& after) noexcept {
  const TensorView* operands = plan_->operands.data();
  for (std::size_t i = 0; i < plan_->steps.size(); ++i) {
    const Plan::Step& step = plan_->steps[i];
    const TensorView* first = operands + step.first_operand;
    step.run({{first, step.inputs},
              {first + step.inputs, step.outputs},
              plan_->graph.nodes()[step.node].attrs,
              *plan_->pool,
              step.scratch,
              step.packed,
              step.out_pitch});
    after(i);
  }
  for (const Plan::Copy& copy : plan_->copies) std::memcpy(copy.to, copy.from, copy.bytes);
}

void Session::run() noexcept {
  run_steps([](std::size_t) {});
}

void Session::run(std::span<std::int64_t> step_ends_ns) noexcept {
  INK_INVARIANT(step_ends_ns.size() == plan_->steps.size());
  const auto start = std::chrono::steady_clock::now();
  run_steps([&](std::size_t i) {
    const auto elapsed = std::chrono::steady_clock::now() - start;
    step_ends_ns[i] = std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
  });
}

Result<TensorView> Session::input(std::string_view name) {
  return view_of(plan_->views, plan_->graph.find_input(name), "input", name);
}
Result<TensorView> Session::output(std::string_view name) {
  return view_of(plan_->views, plan_->graph.find_output(name), "output", name);
}
Result<TensorView> Session::variable(std::string_view name) {
  return view_of(plan_->views, plan_->graph.find_variable(name), "variable", name);
}

std::size_t Session::arena_bytes() const { return plan_->arena_bytes; }
std::size_t Session::arena_lower_bound() const { return plan_->arena_lower_bound; }
std::size_t Session::packed_bytes() const { return plan_->packed_bytes; }
const Graph& Session::graph() const { return plan_->graph; }

std::size_t Session::variable_bytes() const {
  std::size_t bytes = 0;
  for (const Tensor& variable : plan_->variables) bytes += variable.spec().bytes();
  return bytes;
}

std::vector<Session::StepInfo> Session::steps() const {
  std::vector<StepInfo> infos;
  for (const Plan::Step& step : plan_->steps) {
    const Node& node = plan_->graph.nodes()[step.node];
    infos.push_back({node.op, step.kernel ? step.kernel->name : "reference",
                     plan_->graph.value(node.outputs[0]).name, step.node});
  }
  return infos;
}

const Kernel* choose_kernel(std::span<const Kernel> rows, const NodeSpec& node) {
  const Kernel* best = nullptr;
  double best_cost = 0;
  for (const Kernel& row : rows) {
    if (row.op != node.op || !row.accepts(node)) continue;
    const double cost = row.cost(node);
    if (!best || cost < best_cost) {
      best = &row;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace inkling
