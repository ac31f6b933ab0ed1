#include "convert/onnx/program.h"

#include <algorithm>
#include <deque>

#include "convert/onnx/specialize.h"
#include "runtime/base/sha256.h"

namespace inkling::onnx_import {

struct Program::State {
  onnx::ModelProto model;
  PlanOptions options;
  Weights weights;
  std::vector<std::string> inputs;
  std::set<std::string> decisive;  // inputs whose values a plan depends on, as far as found

  struct Plan {
    std::string key;
    Session session;
  };
  std::deque<Plan> plans;

  Result<Plan*> plan_for(std::span<const NamedTensor> given, const Options& form);
  std::string key_of(std::span<const NamedTensor> given, const Options& form) const;
};

std::string Program::State::key_of(std::span<const NamedTensor> given, const Options& form) const {
  std::string key;
  for (const auto& [name, length] : form.sequence_lengths) key += concat(name, "*", length, ";");
  for (const std::string& name : form.absent_inputs) key += concat(name, "-;");
  for (const NamedTensor& input : given) {
    key += concat(input.name, ":", input.tensor.spec(), ";");
    if (!decisive.count(input.name)) continue;
    const auto* bytes = static_cast<const std::uint8_t*>(input.tensor.raw());
    const Sha256Digest digest = sha256(ByteSpan(bytes, input.tensor.spec().bytes()));
    key.append(digest.begin(), digest.end());
  }
  return key;
}

Result<Program::State::Plan*> Program::State::plan_for(std::span<const NamedTensor> given,
                                                       const Options& form) {
  for (;;) {
    const std::string key = key_of(given, form);
    const auto found =
        std::find_if(plans.begin(), plans.end(), [&](const Plan& p) { return p.key == key; });
    if (found != plans.end()) return &*found;
    Options chosen = form;
    chosen.input_shapes.clear();
    chosen.input_values.clear();
    for (const NamedTensor& input : given) {
      chosen.input_shapes.emplace(input.name, input.tensor.shape());
      if (decisive.count(input.name))
        chosen.input_values.emplace(input.name,
                                    std::make_shared<const Tensor>(input.tensor.clone()));
    }
    std::set<std::string> needed;
    const auto specialized = specialize(model, weights, chosen, needed);
    if (!specialized) {
      const std::size_t before = decisive.size();
      decisive.insert(needed.begin(), needed.end());
      if (decisive.size() > before) continue;
      return tl::unexpected<Error>(specialized.error());
    }
    INK_TRY(Session session, Session::create(specialized->graph, options));
    if (plans.size() >= kPlansMax) plans.pop_front();
    plans.push_back({key, std::move(session)});
    return &plans.back();
  }
}

Program::Program(std::unique_ptr<State> state) : state_(std::move(state)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

Result<Program> Program::open(ByteSpan bytes, const PlanOptions& options) {
  auto state = std::make_unique<State>();
  INK_TRY(state->model, parse_model(bytes));
  INK_CHECK_OK(opset_of(state->model));
  state->options = options;
  std::set<std::string> initial;
  for (const auto& initializer : state->model.graph().initializer())
    initial.insert(initializer.name());
  for (const auto& input : state->model.graph().input()) {
    if (!initial.count(input.name())) state->inputs.push_back(input.name());
  }
  return Program(std::move(state));
}

const std::vector<std::string>& Program::inputs() const { return state_->inputs; }
std::size_t Program::plans() const { return state_->plans.size(); }

Result<Session*> Program::plan(std::span<const NamedTensor> inputs, const Options& form) {
  INK_TRY(State::Plan* const plan, state_->plan_for(inputs, form));
  return &plan->session;
}

Result<std::vector<NamedTensor>> Program::run(std::span<const NamedTensor> inputs,
                                              const Options& form) {
  INK_TRY(State::Plan* const plan, state_->plan_for(inputs, form));
  auto outputs = run_named(plan->session, inputs);
  if (!outputs) return fail_within(std::move(outputs).error(), "onnx");
  return outputs;
}

}  // namespace inkling::onnx_import
