#include "server-sim/simulation/algorithm.h"

#include <algorithm>
#include <array>

namespace inkling {

namespace {

using Make = std::unique_ptr<Algorithm> (*)(const AlgorithmSpec&, const AlgorithmContext&);

struct Row {
  std::string_view name;
  Make make;
};
constexpr std::array kRows = {Row{"fedprox", make_fedprox}, Row{"scaffold", make_scaffold},
                              Row{"fednova", make_fednova}};

struct Refusal {
  std::string_view name, reason;
};
constexpr std::array kRefusals = {
    Refusal{"topk",
            "each client has its own support, which a masked sum cannot carry; use a "
            "shared-seed sparsifier"},
    Refusal{"qsgd",
            "each client has its own scale, which a masked sum cannot carry; the ring's "
            "stochastic rounding with one scale serves the same end"}};

}  // namespace

Result<std::unique_ptr<Algorithm>> make_algorithm(const AlgorithmSpec& spec,
                                                  const AlgorithmContext& context) {
  for (const Row& row : kRows)
    if (row.name == spec.name) return row.make(spec, context);
  for (const Refusal& refusal : kRefusals) {
    if (refusal.name == spec.name)
      return fail(ErrorCode::kUnsupported, "algorithm '", spec.name, "': ", refusal.reason);
  }
  const auto rule = server_rule_from(spec.name);
  if (!rule) {
    return fail(ErrorCode::kInvalidArgument, "algorithm '", spec.name,
                "': expected fedavg, fedavgm, fedadagrad, fedadam, fedyogi, fedprox, scaffold or "
                "fednova");
  }
  AlgorithmSpec with_rule = spec;
  with_rule.server.rule = *rule;
  return make_fedavg(with_rule, context);
}

}  // namespace inkling
