#include "server-sim/simulation/local_trainer.h"

#include <algorithm>
#include <numeric>

#include "autograd/losses.h"
#include "runtime/ops.h"

namespace inkling {

namespace {

constexpr const char* kFeatures = "features";
constexpr const char* kTargets = "targets";
constexpr const char* kMu = "mu";

std::string anchor_name(std::string_view variable) { return concat("anchor/", variable); }
std::string correction_name(std::string_view variable) { return concat("correction/", variable); }

Shape batch_of(std::size_t batch, const Shape& features) {
  std::vector<std::int64_t> dims = {static_cast<std::int64_t>(batch)};
  dims.insert(dims.end(), features.dims().begin(), features.dims().end());
  return Shape::from(dims).value();
}

// mu / 2 |w - anchor|^2 + <correction, w> over all variables, added to the loss.
ValueId add_terms(Graph& g, ValueId loss, std::span<const ValueId> variables,
                  const LocalTerms& terms) {
  const ValueId mu = terms.proximal ? g.input(kMu, {DType::kF32, Shape{}}) : kNoValue;
  for (const ValueId w : variables) {
    const std::string name = g.value(w).name;
    const TensorSpec spec = g.spec(w);
    if (terms.proximal) {
      const ValueId pull = squared_distance(g, w, g.input(anchor_name(name), spec));
      loss = add(g, loss, mul(g, mu, scale(g, pull, 0.5)));
    }
    if (terms.correction)
      loss = add(g, loss, sum(g, mul(g, w, g.input(correction_name(name), spec))));
  }
  return loss;
}

void copy_slices(std::span<const float> values, std::span<const ParameterSlice> slices,
                 std::span<const TensorView> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const auto span = to[i].span<float>();
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(slices[i].offset), span.size(),
                span.begin());
  }
}

}  // namespace

Result<LocalTrainer> LocalTrainer::create(const Architecture& architecture,
                                          const ExampleSet& examples, const LocalSpec& spec,
                                          const LocalTerms& terms, std::uint64_t seed) {
  if (spec.batch == 0 || spec.epochs == 0)
    return fail(ErrorCode::kInvalidArgument, "local training: a batch of ", spec.batch, " and ",
                spec.epochs, " epochs, expected at least 1 of each");
  Graph g;
  const auto labels = static_cast<std::int64_t>(examples.label_count());
  const ValueId x = g.input(kFeatures, {DType::kF32, batch_of(spec.batch, examples.features())});
  const ValueId y =
      g.input(kTargets, {DType::kF32, {static_cast<std::int64_t>(spec.batch), labels}});
  const ValueId logits = architecture.append(g, x, labels, seed);
  INK_CHECK_OK(g.status());
  const std::vector<ValueId> variables(g.variables().begin(), g.variables().end());
  const ValueId loss = add_terms(g, softmax_cross_entropy(g, logits, y), variables, terms);
  INK_TRY(Trainer trainer, Trainer::create(std::move(g), {.loss = loss,
                                                          .train = variables,
                                                          .optimizer = Sgd{spec.momentum, 0.0},
                                                          .plan = {.threads = 1}}));
  LocalTrainer local(examples, spec, std::move(trainer));
  INK_TRY(local.features_, local.trainer_.input(kFeatures));
  INK_TRY(local.targets_, local.trainer_.input(kTargets));
  if (terms.proximal) {
    INK_TRY(local.mu_, local.trainer_.input(kMu));
  }
  for (const ParameterSlice& slice : local.parameters()) {
    if (terms.proximal) {
      INK_TRY(local.anchors_.emplace_back(), local.trainer_.input(anchor_name(slice.name)));
    }
    if (terms.correction) {
      INK_TRY(local.corrections_.emplace_back(), local.trainer_.input(correction_name(slice.name)));
    }
  }
  return local;
}

// A batch of fewer rows than planned is a mean over those rows: the others have no target, so
// neither loss nor gradient, and the targets of the rest grow by what the mean divides too much.
void LocalTrainer::fill_batch(std::span<const std::uint32_t> indices,
                              std::span<const std::uint32_t> labels,
                              std::span<const std::size_t> rows) {
  const auto x = features_.span<float>(), y = targets_.span<float>();
  const std::size_t width = examples_->feature_count(), classes = examples_->label_count();
  std::fill(y.begin(), y.end(), 0.0f);
  const float target = static_cast<float>(spec_.batch) / static_cast<float>(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::uint32_t example = indices[rows[i]];
    examples_->fill_features(example, x.subspan(i * width, width));
    const std::span<const std::uint32_t> own =
        labels.empty() ? examples_->labels_of(example) : labels.subspan(rows[i], 1);
    for (const std::uint32_t label : own)
      y[i * classes + label] = target / static_cast<float>(own.size());
  }
}

// scratch: f32[parameter_count()].
Result<void> LocalTrainer::put_back(std::span<const float> start,
                                    std::span<const ParameterRange> kept,
                                    std::span<float> scratch) {
  trainer_.copy_parameters(scratch);
  for (const ParameterRange& range : kept) {
    const auto from = start.subspan(range.begin, range.end - range.begin);
    std::copy(from.begin(), from.end(), scratch.begin() + static_cast<std::ptrdiff_t>(range.begin));
  }
  return trainer_.set_parameters(scratch, false);
}

Result<LocalReport> LocalTrainer::train(std::span<const float> start,
                                        std::span<const std::uint32_t> indices,
                                        std::span<const std::uint32_t> labels,
                                        const LocalTermValues& terms, Rng& order,
                                        std::span<float> after, const LocalPart& part) {
  INK_CHECK_OK(trainer_.set_parameters(start));
  copy_slices(terms.anchor.empty() ? start : terms.anchor, parameters(), anchors_);
  copy_slices(terms.correction, parameters(), corrections_);
  if (mu_.data != nullptr) *mu_.as<float>() = static_cast<float>(terms.mu);
  order_.resize(indices.size());
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  LocalReport report{.examples = indices.size()};
  const std::size_t epochs = part.epochs > 0 ? part.epochs : spec_.epochs;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    order.shuffle(order_);
    for (std::size_t at = 0; at < order_.size(); at += spec_.batch) {
      const std::size_t rows = std::min(spec_.batch, order_.size() - at);
      fill_batch(indices, labels, std::span<const std::size_t>(order_).subspan(at, rows));
      const std::size_t next = std::min(at + rows, order_.size());
      for (std::size_t i = next; i < std::min(next + spec_.batch, order_.size()); ++i)
        examples_->prefetch(indices[order_[i]]);
      const StepReport step = trainer_.step(spec_.rate);
      report.loss += step.loss;
      report.finite = report.finite && step.finite;
      if (!part.kept.empty()) INK_CHECK_OK(put_back(start, part.kept, after));
      ++report.steps;
    }
  }
  if (report.steps > 0) report.loss /= static_cast<double>(report.steps);
  trainer_.copy_parameters(after);
  return report;
}

}  // namespace inkling
