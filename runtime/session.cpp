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
  std::vector<AlignedBytes> packed;
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
  };
  std::vector<Step> steps;

  struct Copy {
    void* to;
    const void* from;
    std::size_t bytes;
  };
  std::vector<Copy> copies;
};

namespace {

std::vector<TensorSpec> specs_of(const Graph& graph, std::span<const ValueId> ids) {
  std::vector<TensorSpec> specs;
  for (const ValueId id : ids) specs.push_back(graph.spec(id));
  return specs;
}

Result<TensorView> view_of(std::span<const TensorView> views, ValueId id, const char* kind,
                           std::string_view name) {
  if (id == kNoValue)
    return fail(ErrorCode::kNotFound, "session: no ", kind, " named '", name, "'");
  return views[static_cast<std::size_t>(id)];
}

}  // namespace

Result<Session> Session::create(const Graph& source, const PlanOptions& options) {
  INK_CHECK_OK(source.status());
  auto plan = std::make_unique<Plan>();
  if (options.optimize) {
    INK_TRY(plan->graph, optimize(source));
  } else {
    plan->graph = source;
  }
  const Graph& graph = plan->graph;
  plan->pool = options.executor.run != nullptr ? std::make_unique<ThreadPool>(options.executor)
                                               : std::make_unique<ThreadPool>(options.threads);
  const StoragePlan storage = plan_storage(graph);

  // Choose kernels first: their scratch memory is part of the arena.
  std::vector<Lifetime> lifetimes;
  std::vector<std::size_t> scratch_lifetime;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    if (storage.view[i]) continue;
    const Node& node = graph.nodes()[i];
    const auto in = specs_of(graph, node.inputs);
    const auto out = specs_of(graph, node.outputs);
    const bool constant =
        node.inputs.size() > 1 && graph.value(node.inputs[1]).kind == ValueKind::kConstant;
    const NodeSpec spec{node.op, in, out, node.attrs, constant, plan->pool->threads()};
    const Kernel* kernel = options.reference_only ? nullptr : choose_kernel(cpu_kernels(), spec);
    Plan::Step step{kernel ? kernel->run : op_def(node.op).reference,
                    kernel,
                    i,
                    0,
                    in.size(),
                    out.size(),
                    nullptr,
                    nullptr};
    if (kernel && kernel->packed_bytes && constant) {
      if (const std::size_t bytes = kernel->packed_bytes(spec); bytes > 0) {
        const Tensor& weights = *graph.value(node.inputs[1]).tensor;
        plan->packed.push_back(allocate_aligned(bytes));
        plan->packed_bytes += bytes;
        kernel->pack(spec, {weights.spec(), const_cast<void*>(weights.raw())},
                     plan->packed.back().get());
        step.packed = plan->packed.back().get();
      }
    }
    const std::size_t scratch = kernel && kernel->scratch_bytes ? kernel->scratch_bytes(spec) : 0;
    scratch_lifetime.push_back(scratch > 0 ? lifetimes.size() : static_cast<std::size_t>(-1));
    if (scratch > 0) lifetimes.push_back({scratch, i, i});
    plan->steps.push_back(step);
  }
  std::vector<std::size_t> value_lifetime(graph.values().size(), static_cast<std::size_t>(-1));
  for (std::size_t v = 0; v < graph.values().size(); ++v) {
    const Value& value = graph.values()[v];
    const bool in_arena = value.kind == ValueKind::kInput || value.kind == ValueKind::kResult;
    if (!in_arena || storage.root[v] != ValueId{static_cast<std::uint32_t>(v)} ||
        storage.last[v] < storage.first[v])
      continue;
    value_lifetime[v] = lifetimes.size();
    lifetimes.push_back({value.spec.bytes(), storage.first[v], storage.last[v]});
  }
  const ArenaLayout layout = plan_arena(lifetimes);
  plan->arena = allocate_aligned(layout.bytes);
  plan->arena_bytes = layout.bytes;
  plan->arena_lower_bound = inkling::arena_lower_bound(lifetimes);

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
    } else if (value_lifetime[v] != static_cast<std::size_t>(-1)) {
      plan->views[v] = {value.spec, plan->arena.get() + layout.offsets[value_lifetime[v]]};
    }
  }
  for (std::size_t v = 0; v < graph.values().size(); ++v) {
    const auto root = static_cast<std::size_t>(storage.root[v]);
    plan->views[v] = {graph.values()[v].spec, plan->views[root].data};
  }
  for (std::size_t s = 0; s < plan->steps.size(); ++s) {
    Plan::Step& step = plan->steps[s];
    const Node& node = graph.nodes()[step.node];
    step.first_operand = plan->operands.size();
    for (const ValueId id : node.inputs)
      plan->operands.push_back(plan->views[static_cast<std::size_t>(id)]);
    for (const ValueId id : node.outputs)
      plan->operands.push_back(plan->views[static_cast<std::size_t>(id)]);
    if (scratch_lifetime[s] != static_cast<std::size_t>(-1)) {
      step.scratch = plan->arena.get() + layout.offsets[scratch_lifetime[s]];
    }
  }
  for (const Update& copy : storage.copies) {
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
              step.packed});
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
                     plan_->graph.value(node.outputs[0]).name});
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
