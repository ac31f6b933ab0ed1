#include "runtime/kernel_search.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "runtime/base/rng.h"
#include "runtime/passes/passes.h"

namespace inkling {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kRoundsMin = 3, kRoundsMax = 200;
constexpr double kShareForVerdict = 0.3;  // of the time, for the winners beside the default

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Result<void> fill_inputs(Session& session) {
  for (const ValueId id : session.graph().inputs()) {
    const Value& value = session.graph().value(id);
    if (value.spec.dtype != DType::kF32) continue;
    INK_TRY(const TensorView view, session.input(value.name));
    Rng rng(1, "kernel search");
    for (float& v : view.span<float>()) v = static_cast<float>(2 * rng.uniform() - 1);
  }
  return {};
}

// Calls body(i) for i = 0, 1, ... until the time is over, at least and at most so many times.
template <typename Body>
void repeat(double seconds, const Body& body) {
  const auto start = SteadyClock::now();
  for (std::size_t i = 0; i < kRoundsMax && (i < kRoundsMin || seconds_since(start) < seconds); ++i)
    body(i);
}

class Search {
 public:
  Search(Graph graph, const SearchOptions& options) : graph_(std::move(graph)), options_(options) {}

  Result<KernelSearch> run() {
    list_nodes();
    if (result_.nodes.empty()) return std::move(result_);
    INK_CHECK_OK(measure_rows());
    choose();
    INK_CHECK_OK(compare_with_default());
    return std::move(result_);
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  void list_nodes() {
    std::map<std::string, std::size_t> seen;
    found_.assign(graph_.nodes().size(), kNone);
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      const auto in = specs_of(graph_, node.inputs), out = specs_of(graph_, node.outputs);
      const NodeSpec spec = node_spec(graph_, node, in, out, options_.threads);
      auto rows = ranked_kernels(cpu_kernels(), spec);
      if (rows.size() > options_.rows_max) rows.resize(options_.rows_max);
      if (rows.size() < 2) continue;
      const auto [at, is_new] = seen.emplace(node_key(spec), result_.nodes.size());
      if (is_new) {
        KernelSearch::Node& entry = result_.nodes.emplace_back();
        entry.key = at->first;
        for (const Kernel* row : rows) entry.rows.push_back({row->name, 0});
        times_.emplace_back(rows.size());
      }
      found_[i] = at->second;
    }
  }

  // The graph in which every node runs the row of this rank, or its last.
  Result<Session> variant(std::size_t rank) const {
    KernelChoice choice;
    for (const KernelSearch::Node& node : result_.nodes)
      choice.set(node.key, node.rows[std::min(rank, node.rows.size() - 1)].name);
    return planned(choice);
  }
  Result<Session> planned(const KernelChoice& choice) const {
    INK_TRY(Session session,
            Session::create(graph_,
                            {.threads = options_.threads, .optimize = false, .kernels = &choice}));
    INK_CHECK_OK(fill_inputs(session));
    return session;
  }

  Result<void> measure_rows() {
    std::size_t variants = 0;
    for (const KernelSearch::Node& node : result_.nodes)
      variants = std::max(variants, node.rows.size());
    std::vector<Session> sessions;
    for (std::size_t rank = 0; rank < variants; ++rank) {
      INK_TRY(Session session, variant(rank));
      session.run();  // touches its memory
      sessions.push_back(std::move(session));
    }
    const auto steps = sessions[0].steps();
    for (const auto& step : steps) {
      if (found_[step.node] != kNone) ++result_.nodes[found_[step.node]].steps;
    }
    std::vector<std::int64_t> ends(steps.size());
    repeat(options_.seconds_max * (1 - kShareForVerdict), [&](std::size_t) {
      for (std::size_t rank = 0; rank < variants; ++rank) {
        sessions[rank].run(ends);
        for (std::size_t i = 0; i < steps.size(); ++i) {
          const std::size_t node = found_[steps[i].node];
          if (node == kNone) continue;
          const std::int64_t ns = ends[i] - (i == 0 ? 0 : ends[i - 1]);
          times_[node][std::min(rank, times_[node].size() - 1)].push_back(static_cast<double>(ns) /
                                                                          1e9);
        }
      }
    });
    return {};
  }

  void choose() {
    for (std::size_t n = 0; n < result_.nodes.size(); ++n) {
      KernelSearch::Node& node = result_.nodes[n];
      for (std::size_t r = 0; r < node.rows.size(); ++r) {
        node.rows[r].seconds = robust_estimate(times_[n][r]);
        if (node.rows[r].seconds < node.rows[node.chosen].seconds) node.chosen = r;
      }
      if (node.rows[node.chosen].seconds > node.rows[0].seconds * (1 - options_.margin))
        node.chosen = 0;
      if (node.chosen != 0) result_.choice.set(node.key, node.rows[node.chosen].name);
    }
  }

  Result<void> compare_with_default() {
    INK_TRY(Session usual, planned({}));
    INK_TRY(Session chosen, planned(result_.choice));
    std::vector<double> of_usual, of_chosen;
    const auto time = [](Session& session) {
      const auto start = SteadyClock::now();
      session.run();
      return seconds_since(start);
    };
    repeat(options_.seconds_max * kShareForVerdict, [&](std::size_t i) {
      const double first = time(usual), second = time(chosen);
      if (i == 0) return;  // touches its memory
      of_usual.push_back(first);
      of_chosen.push_back(second);
    });
    result_.default_seconds = robust_estimate(std::move(of_usual));
    result_.chosen_seconds = robust_estimate(std::move(of_chosen));
    if (result_.chosen_seconds < result_.default_seconds) return {};
    result_.choice = {};
    for (KernelSearch::Node& node : result_.nodes) node.chosen = 0;
    result_.chosen_seconds = result_.default_seconds;
    return {};
  }

  Graph graph_;  // optimised
  SearchOptions options_;
  KernelSearch result_;
  std::vector<std::size_t> found_;                       // by node: its entry in result_.nodes
  std::vector<std::vector<std::vector<double>>> times_;  // by entry and row
};

}  // namespace

double robust_estimate(std::vector<double> times) {
  INK_INVARIANT(!times.empty());
  const double middle = median(times);
  std::vector<double> deviations;
  for (const double t : times) deviations.push_back(std::abs(t - middle));
  const double allowed = 3 * median(deviations);
  double sum = 0;
  std::size_t count = 0;
  for (const double t : times) {
    if (std::abs(t - middle) > allowed) continue;
    sum += t;
    ++count;
  }
  return sum / static_cast<double>(count);
}

Result<KernelSearch> search_kernels(const Graph& graph, const SearchOptions& options) {
  INK_CHECK_OK(graph.status());
  INK_TRY(Graph optimized, optimize(graph));
  return Search(std::move(optimized), options).run();
}

}  // namespace inkling
