#include "autograd/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "autograd/differentiate.h"
#include "autograd/micro_batches.h"
#include "autograd/recompute.h"
#include "autograd/row_gradient.h"
#include "runtime/ops.h"
#include "runtime/passes/passes.h"

namespace inkling {

namespace {

// Names that a user's graph cannot have by accident.
constexpr const char* kRateName = "trainer/rate";
constexpr const char* kStepName = "trainer/step";
constexpr const char* kLossName = "trainer/loss";
constexpr const char* kAverageShareName = "trainer/average_share";

std::string gradient_name(std::size_t i) { return concat("trainer/gradient/", i); }
std::string rows_name(std::size_t i) { return concat("trainer/rows/", i); }

// Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013: the
// gradients together, as one vector, no longer than `norm`.
void clip_to_norm(Graph& g, std::vector<Gradient>& gradients, double norm) {
  ValueId squares = kNoValue;
  for (const Gradient& gradient : gradients) {
    const ValueId own = sum(g, mul(g, gradient.values, gradient.values));
    squares = squares == kNoValue ? own : add(g, squares, own);
  }
  const ValueId length = maximum(g, sqrt(g, squares), scalar_of(g, DType::kF32, norm));
  const ValueId factor = div(g, scalar_of(g, DType::kF32, norm), length);
  for (Gradient& gradient : gradients)
    gradient.values = g.append(OpKind::kMul, {gradient.values, factor});
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
  if (!(spec.average >= 0 && spec.average < 1)) {
    return fail(ErrorCode::kInvalidArgument, "trainer: average ", spec.average,
                ", expected from 0 to below 1");
  }
  return {};
}

constexpr std::size_t kSegmentsMax = 32;

std::size_t rows_read(const Graph& g, const RowGradient& gradient) {
  return static_cast<std::size_t>(g.shape(gradient.rows)[0]);
}

// The graph of one piece with the loss and the gradients as outputs; the gradient of a table may be
// that of rows of it.
Result<Graph> with_gradients(Graph graph, const TrainSpec& spec) {
  const auto pieces = static_cast<double>(spec.pieces);
  const ValueId loss = spec.pieces > 1 ? scale(graph, spec.loss, 1 / pieces) : spec.loss;
  INK_TRY(const auto gradients, differentiate(graph, loss, spec.train));
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    ValueId values = gradients[i];
    if (const auto rows = row_gradient(graph, values)) {
      const auto all = static_cast<std::size_t>(graph.shape(values)[0]);
      const bool fewer = rows_read(graph, *rows) * spec.pieces < all;
      if (spec.lazy_rows || (fewer && rows_suffice(spec.optimizer))) {
        graph.output(rows_name(i), rows->rows);
        values = rows->values;
      }
    }
    graph.output(gradient_name(i), values);
  }
  graph.output(kLossName, loss);
  INK_CHECK_OK(graph.status());
  return graph;
}

// A graph with the steps, and what it keeps beside the weights.
struct Stepped {
  Graph graph;
  std::vector<std::string> moments, averages;
};

// m' = m + share (w' - m), written in place.
void append_average(Graph& g, ValueId variable, ValueId share, std::vector<std::string>& averages) {
  averages.push_back(concat("trainer/average/", g.value(variable).name));
  const ValueId mean = g.variable(averages.back(), g.value(variable).tensor);
  const auto update = std::find_if(g.updates().begin(), g.updates().end(),
                                   [&](const Update& u) { return u.variable == variable; });
  const ValueId change = g.append(OpKind::kMul, {sub(g, update->value, mean), share});
  g.update(mean, add(g, mean, change));
}

Result<Stepped> with_steps(const Graph& gradients, const TrainSpec& spec,
                           std::span<const ParameterSlice> slices) {
  std::vector<TakenOutput> taken = {{kLossName, true}};
  std::vector<std::size_t> rows_at(slices.size(), 0);  // in `taken`; 0: the whole variable
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const bool of_rows = gradients.find_output(rows_name(i)) != kNoValue;
    taken.push_back({gradient_name(i), !of_rows});
  }
  for (std::size_t i = 0; i < slices.size(); ++i) {
    if (taken[i + 1].sum) continue;
    rows_at[i] = taken.size();
    taken.push_back({rows_name(i), false});
  }
  INK_TRY(Pieces joined, in_pieces(gradients, spec.pieces, taken));
  Graph& g = joined.graph;
  std::vector<ValueId> variables;
  std::vector<Gradient> found;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    variables.push_back(g.find_variable(slices[i].name));
    Gradient& gradient = found.emplace_back(Gradient{joined.values[i + 1]});
    if (rows_at[i] != 0) {
      const CoalescedRows once = coalesce_rows(g, joined.values[rows_at[i]], gradient.values,
                                               g.shape(variables.back())[0]);
      gradient = {once.values, once.rows};
    }
    if (spec.clip_value > 0)
      gradient.values = clamp(g, gradient.values, -spec.clip_value, spec.clip_value);
  }
  if (spec.clip_norm > 0) clip_to_norm(g, found, spec.clip_norm);
  const StepInputs inputs{g.input(kRateName, {DType::kF32, Shape{}}),
                          g.input(kStepName, {DType::kF32, Shape{}})};
  const ValueId share =
      spec.average > 0 ? g.input(kAverageShareName, {DType::kF32, Shape{}}) : kNoValue;
  Stepped stepped;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    append_step(g, spec.optimizer, variables[i], found[i], inputs, stepped.moments);
    INK_CHECK_OK(g.status());
    if (share != kNoValue) append_average(g, variables[i], share, stepped.averages);
  }
  g.output(kLossName, joined.values[0]);
  INK_CHECK_OK(g.status());
  stepped.graph = std::move(g);
  return stepped;
}

struct Fitted {
  Stepped stepped;
  PlanOptions plan;
  std::size_t segments;
};

// The graph as it will be planned, within the budget.
Result<Fitted> fit(Graph gradients, const TrainSpec& spec, std::span<const ParameterSlice> slices) {
  Fitted fitted{{}, spec.plan, 1};
  if (spec.memory_budget_bytes == 0) {
    INK_TRY(fitted.stepped, with_steps(gradients, spec, slices));
    return fitted;
  }
  if (spec.plan.optimize) {
    INK_TRY(gradients, optimize(gradients));
  }
  fitted.plan.optimize = false;  // it would merge what is computed twice
  const ValueId loss = gradients.find_output(kLossName);
  std::size_t least = static_cast<std::size_t>(-1);
  for (; fitted.segments <= kSegmentsMax; ++fitted.segments) {
    Graph graph = gradients;
    if (fitted.segments > 1) {
      INK_TRY(graph, recompute(gradients, loss, fitted.segments));
    }
    INK_TRY(fitted.stepped, with_steps(graph, spec, slices));
    INK_TRY(const std::size_t bytes, Session::memory_bytes(fitted.stepped.graph, fitted.plan));
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
  std::vector<ParameterSlice> slices;
  std::size_t offset = 0;
  for (const ValueId id : spec.train) {
    slices.push_back({graph.value(id).name, graph.shape(id), offset});
    offset += static_cast<std::size_t>(graph.shape(id).elements());
  }
  INK_TRY(Graph gradients, with_gradients(std::move(graph), spec));
  INK_TRY(const Fitted fitted, fit(std::move(gradients), spec, slices));
  INK_TRY(Session session, Session::create(fitted.stepped.graph, fitted.plan));

  Trainer trainer(std::move(session), std::move(slices));
  trainer.segments_ = fitted.segments;
  for (const ParameterSlice& slice : trainer.slices_) {
    INK_TRY(trainer.weights_.emplace_back(), trainer.session_.variable(slice.name));
  }
  for (const std::string& name : fitted.stepped.moments) {
    INK_TRY(trainer.moments_.emplace_back(), trainer.session_.variable(name));
  }
  for (const std::string& name : fitted.stepped.averages) {
    INK_TRY(trainer.averages_.emplace_back(), trainer.session_.variable(name));
  }
  if (spec.average > 0) {
    trainer.average_ = spec.average;
    INK_TRY(trainer.average_share_, trainer.session_.input(kAverageShareName));
  }
  INK_TRY(trainer.rate_, trainer.session_.input(kRateName));
  INK_TRY(trainer.step_, trainer.session_.input(kStepName));
  INK_TRY(trainer.loss_, trainer.session_.output(kLossName));
  return trainer;
}

StepReport Trainer::step(double rate) noexcept {
  *rate_.as<float>() = static_cast<float>(rate);
  const double step = *step_.as<float>() += 1.0f;
  if (average_ > 0) {
    const double keep = std::min(average_, (1 + step) / (10 + step));
    *average_share_.as<float>() = static_cast<float>(1 - keep);
  }
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

namespace {

std::vector<float> joined(std::span<const TensorView> views) {
  std::vector<float> values;
  for (const TensorView& view : views) {
    const auto span = view.span<float>();
    values.insert(values.end(), span.begin(), span.end());
  }
  return values;
}

}  // namespace

std::vector<float> Trainer::get_parameters() const { return joined(weights_); }

std::vector<float> Trainer::get_averages() const {
  return joined(average_ > 0 ? averages_ : weights_);
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
    for (std::size_t i = 0; i < averages_.size(); ++i)
      std::memcpy(averages_[i].data, weights_[i].data, weights_[i].spec.bytes());
    *step_.as<float>() = 0.0f;
  }
  return {};
}

std::vector<TensorView> Trainer::state() const {
  std::vector<TensorView> views = {step_};
  for (const auto* more : {&weights_, &moments_, &averages_})
    views.insert(views.end(), more->begin(), more->end());
  return views;
}

std::vector<float> Trainer::save_state() const { return joined(state()); }

Result<void> Trainer::restore_state(std::span<const float> values) {
  const auto views = state();
  std::size_t size = 0;
  for (const TensorView& view : views) size += static_cast<std::size_t>(view.elements());
  if (values.size() != size) {
    return fail(ErrorCode::kInvalidArgument, "trainer: a state of ", values.size(),
                " numbers, expected ", size);
  }
  for (const TensorView& view : views) {
    const auto span = view.span<float>();
    std::copy_n(values.begin(), span.size(), span.begin());
    values = values.subspan(span.size());
  }
  return {};
}

}  // namespace inkling
