#include "autograd/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "autograd/differentiate.h"
#include "autograd/recompute.h"
#include "runtime/ops.h"
#include "runtime/passes/passes.h"

namespace inkling {

namespace {

// Names that a user's graph cannot have by accident.
constexpr const char* kRateName = "trainer/rate";
constexpr const char* kStepName = "trainer/step";
constexpr const char* kLossName = "trainer/loss";

// Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013: the
// gradients together, as one vector, no longer than `norm`.
std::vector<ValueId> clipped(Graph& g, std::vector<ValueId> gradients, double norm) {
  ValueId squares = kNoValue;
  for (const ValueId gradient : gradients) {
    const ValueId own = sum(g, mul(g, gradient, gradient));
    squares = squares == kNoValue ? own : add(g, squares, own);
  }
  const ValueId length = maximum(g, sqrt(g, squares), scalar_of(g, DType::kF32, norm));
  const ValueId factor = div(g, scalar_of(g, DType::kF32, norm), length);
  for (ValueId& gradient : gradients) gradient = mul(g, gradient, factor);
  return gradients;
}

Result<void> expect_trainable(const Graph& graph, const TrainSpec& spec) {
  INK_CHECK_OK(graph.status());
  if (spec.train.empty()) return fail(ErrorCode::kInvalidArgument, "trainer: no variable to train");
  for (const ValueId id : spec.train) {
    if (graph.value(id).kind != ValueKind::kVariable || graph.spec(id).dtype != DType::kF32) {
      return fail(ErrorCode::kInvalidArgument, "trainer: ", graph.spec(id), " '",
                  graph.value(id).name, "' is not an f32 variable");
    }
  }
  return {};
}

constexpr std::size_t kSegmentsMax = 32;

struct Fitted {
  Graph graph;
  PlanOptions plan;
  std::size_t segments;
};

// The graph as it will be planned, within the budget.
Result<Fitted> fit(Graph graph, const TrainSpec& spec) {
  Fitted fitted{std::move(graph), spec.plan, 1};
  if (spec.memory_budget_bytes == 0) return fitted;
  if (spec.plan.optimize) {
    INK_TRY(fitted.graph, optimize(fitted.graph));
  }
  fitted.plan.optimize = false;  // it would merge what is computed twice
  INK_TRY(std::size_t least, Session::memory_bytes(fitted.graph, fitted.plan));
  if (least <= spec.memory_budget_bytes) return fitted;
  const Graph whole = std::move(fitted.graph);
  for (fitted.segments = 2; fitted.segments <= kSegmentsMax; ++fitted.segments) {
    INK_TRY(fitted.graph, recompute(whole, whole.find_output(kLossName), fitted.segments));
    INK_TRY(const std::size_t bytes, Session::memory_bytes(fitted.graph, fitted.plan));
    if (bytes <= spec.memory_budget_bytes) return fitted;
    least = std::min(least, bytes);
  }
  return fail(ErrorCode::kResourceLimit, "trainer: takes ", least,
              " bytes even when activations are computed again, the budget is ",
              spec.memory_budget_bytes);
}

}  // namespace

Result<Trainer> Trainer::create(Graph graph, const TrainSpec& spec) {
  INK_CHECK_OK(expect_trainable(graph, spec));
  INK_TRY(auto gradients, differentiate(graph, spec.loss, spec.train));
  if (spec.clip_norm > 0) gradients = clipped(graph, std::move(gradients), spec.clip_norm);
  const ValueId rate = graph.input(kRateName, {DType::kF32, Shape{}});
  const ValueId step = graph.input(kStepName, {DType::kF32, Shape{}});
  std::vector<std::string> moments;
  std::vector<ParameterSlice> slices;
  std::size_t offset = 0;
  for (std::size_t i = 0; i < spec.train.size(); ++i) {
    append_step(graph, spec.optimizer, spec.train[i], gradients[i], {rate, step}, moments);
    INK_CHECK_OK(graph.status());
    slices.push_back({graph.value(spec.train[i]).name, graph.shape(spec.train[i]), offset});
    offset += static_cast<std::size_t>(graph.shape(spec.train[i]).elements());
  }
  graph.output(kLossName, spec.loss);
  INK_CHECK_OK(graph.status());
  INK_TRY(const Fitted fitted, fit(std::move(graph), spec));
  INK_TRY(Session session, Session::create(fitted.graph, fitted.plan));

  Trainer trainer(std::move(session), std::move(slices));
  trainer.segments_ = fitted.segments;
  for (const ParameterSlice& slice : trainer.slices_) {
    INK_TRY(trainer.weights_.emplace_back(), trainer.session_.variable(slice.name));
  }
  for (const std::string& name : moments) {
    INK_TRY(trainer.moments_.emplace_back(), trainer.session_.variable(name));
  }
  INK_TRY(trainer.rate_, trainer.session_.input(kRateName));
  INK_TRY(trainer.step_, trainer.session_.input(kStepName));
  INK_TRY(trainer.loss_, trainer.session_.output(kLossName));
  return trainer;
}

StepReport Trainer::step(double rate) noexcept {
  *rate_.as<float>() = static_cast<float>(rate);
  *step_.as<float>() += 1.0f;
  session_.run();
  const double loss = *loss_.as<float>();
  return {loss, std::isfinite(loss)};
}

std::size_t Trainer::memory_bytes() const {
  return session_.arena_bytes() + session_.variable_bytes() + session_.packed_bytes();
}

std::size_t Trainer::parameter_count() const {
  return slices_.back().offset + static_cast<std::size_t>(slices_.back().shape.elements());
}

std::vector<float> Trainer::get_parameters() const {
  std::vector<float> values(parameter_count());
  copy_parameters(values);
  return values;
}

void Trainer::copy_parameters(std::span<float> to) const {
  INK_INVARIANT(to.size() == parameter_count());
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    const auto span = weights_[i].span<float>();
    std::copy(span.begin(), span.end(),
              to.begin() + static_cast<std::ptrdiff_t>(slices_[i].offset));
  }
}

Result<void> Trainer::set_parameters(std::span<const float> values, bool reset_moments) {
  if (values.size() != parameter_count()) {
    return fail(ErrorCode::kInvalidArgument, "trainer: ", values.size(),
                " parameters given, expected ", parameter_count());
  }
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    const auto span = weights_[i].span<float>();
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(slices_[i].offset), span.size(),
                span.begin());
  }
  if (reset_moments) {
    for (const TensorView& moment : moments_) std::memset(moment.data, 0, moment.spec.bytes());
    *step_.as<float>() = 0.0f;
  }
  return {};
}

std::size_t Trainer::state_size() const {
  std::size_t size = 1;
  for (const auto* views : {&weights_, &moments_}) {
    for (const TensorView& view : *views) size += static_cast<std::size_t>(view.elements());
  }
  return size;
}

std::vector<float> Trainer::save_state() const {
  std::vector<float> state = {*step_.as<float>()};
  state.reserve(state_size());
  for (const auto* views : {&weights_, &moments_}) {
    for (const TensorView& view : *views) {
      const auto values = view.span<float>();
      state.insert(state.end(), values.begin(), values.end());
    }
  }
  return state;
}

Result<void> Trainer::restore_state(std::span<const float> state) {
  if (state.size() != state_size()) {
    return fail(ErrorCode::kInvalidArgument, "trainer: a state of ", state.size(),
                " numbers, expected ", state_size());
  }
  *step_.as<float>() = state[0];
  state = state.subspan(1);
  for (const auto* views : {&weights_, &moments_}) {
    for (const TensorView& view : *views) {
      const auto values = view.span<float>();
      std::copy_n(state.begin(), values.size(), values.begin());
      state = state.subspan(values.size());
    }
  }
  return {};
}

}  // namespace inkling
