#pragma once
// Session: a graph made ready to run, and run.
//
// create() does everything that can fail: it optimises the graph, chooses a kernel for each node,
// packs constant weights and lays all tensors out in one arena. run() then allocates nothing, fails
// never, and gives the same bits on any number of threads. Write the inputs, run, read the outputs:
//
//   INK_TRY(Session session, Session::create(graph, {.threads = 2}));
//   INK_TRY(TensorView image, session.input("image"));
//   ... fill image.span<float>() ...
//   session.run();
//
// Views stay valid for the session's life, also when it is moved. Inputs keep their values between
// runs; variables take their updates at the end of each run. One thread at a time.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/graph.h"
#include "runtime/kernel_choice.h"

namespace inkling {

struct PlanOptions {
  unsigned threads = 1;
  Executor executor{};                    // the app's threads; then `threads` counts for nothing
  bool optimize = true;                   // run the passes of runtime/passes/
  bool reference_only = false;            // the plainest loops, for tests
  const KernelChoice* kernels = nullptr;  // rows chosen beforehand; not kept beyond create()
};

class Session {
 public:
  static Result<Session> create(const Graph& graph, const PlanOptions& options = {});
  // What create() would allocate for it: arena, variables and packed constants.
  static Result<std::size_t> memory_bytes(const Graph& graph, const PlanOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // kNotFound: no such name. Variables may be written between runs (checkpoints, patches, global
  // models).
  Result<TensorView> input(std::string_view name);
  Result<TensorView> output(std::string_view name);
  Result<TensorView> variable(std::string_view name);

  void run() noexcept;
  // The same, and when each step ended, in nanoseconds since the call; as many as steps().
  void run(std::span<std::int64_t> step_ends_ns) noexcept;

  std::size_t arena_bytes() const;        // everything that a run writes but variables
  std::size_t arena_lower_bound() const;  // the least that any layout of this plan could need
  std::size_t variable_bytes() const;
  std::size_t packed_bytes() const;
  const Graph& graph() const;  // as optimised

  struct StepInfo {
    OpKind op;
    const char* kernel;      // the row's name, or "reference"
    std::string_view label;  // of the node's first output, may be empty
    std::size_t node;        // of graph().nodes()
  };
  std::vector<StepInfo> steps() const;

 private:
  struct Plan;
  template <typename After>
  void run_steps(const After& after) noexcept;
  explicit Session(std::unique_ptr<Plan> plan);
  std::unique_ptr<Plan> plan_;
};

}  // namespace inkling
