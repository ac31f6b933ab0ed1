#include "server-sim/simulation/algorithm.h"

#include <algorithm>
#include <array>

namespace inkling {

namespace {

struct Row {
  std::string_view name;
  MakeAlgorithm* make;
};
constexpr std::array kRows = {Row{"adaptive_clip", make_adaptive_clip},
                              Row{"count_sketch", make_count_sketch},
                              Row{"ditto", make_ditto},
                              Row{"fedbuff", make_fedbuff},
                              Row{"fednova", make_fednova},
                              Row{"fedper", make_fedper},
                              Row{"fedprox", make_fedprox},
                              Row{"fedrep", make_fedrep},
                              Row{"pfedme", make_pfedme},
                              Row{"randomk", make_randomk},
                              Row{"scaffold", make_scaffold},
                              Row{"signsgd", make_signsgd}};

struct Refusal {
  std::string_view name, reason;
};
constexpr std::array kRefusals = {
    Refusal{"topk",
            "each client has its own support, which a masked sum cannot carry; use randomk or "
            "count_sketch"},
    Refusal{"qsgd",
            "each client has its own scale, which a masked sum cannot carry; the ring's "
            "stochastic rounding with one scale serves the same end"}};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_algorithm(const AlgorithmSpec& spec,
                                                  const AlgorithmContext& context) {
  if (spec.make != nullptr) {
    INK_TRY(ServerOptimizer own, ServerOptimizer::create(spec.server, context.parameters));
    return spec.make(spec, context, std::move(own));
  }
  const auto row =
      std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.name == spec.name; });
  ServerOptimizerSpec server = spec.server;
  if (row == kRows.end()) {
    for (const Refusal& refusal : kRefusals) {
      if (refusal.name == spec.name)
        return fail(ErrorCode::kUnsupported, "algorithm '", spec.name, "': ", refusal.reason);
    }
    const auto rule = parse_server_rule(spec.name);
    if (!rule) {
      std::string known = "fedavg, fedavgm, fedadagrad, fedadam, fedyogi";
      for (const Row& r : kRows) known += concat(", ", r.name);
      return fail(ErrorCode::kInvalidArgument, "algorithm '", spec.name, "': expected one of ",
                  known);
    }
    server.rule = *rule;
  }
  INK_TRY(ServerOptimizer optimizer, ServerOptimizer::create(server, context.parameters));
  MakeAlgorithm* make = row == kRows.end() ? make_fedavg : row->make;
  return make(spec, context, std::move(optimizer));
}

}  // namespace inkling
