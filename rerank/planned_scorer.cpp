#include "rerank/planned_scorer.h"

#include <algorithm>

namespace inkling {

Result<PlannedScorer> PlannedScorer::create(Model model, const FeatureSchema& schema,
                                            const PlanOptions& options) {
  INK_CHECK_OK(check_scorer(model, schema));
  PlannedScorer scorer(std::move(model), options);
  INK_TRY(scorer.identity_, model_identity(scorer.model_));
  INK_TRY(scorer.global_, model_parameters(scorer.model_.graph));
  INK_TRY(scorer.past_rows_, inkling::past_rows(scorer.model_.graph));
  scorer.current_ = scorer.global_;
  return scorer;
}

Result<void> PlannedScorer::set_patch(const Patch& patch) {
  INK_CHECK_OK(check_patch(patch, identity_, global_.size()));
  std::vector<float> values = global_;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += patch.delta[i];
  use_parameters(std::move(values), true);
  return {};
}

void PlannedScorer::clear_patch() { use_parameters(global_, false); }

void PlannedScorer::use_parameters(std::vector<float> values, bool patched) {
  current_ = std::move(values);
  patched_ = patched;
  for (const Planned& planned : planned_) write_parameters(planned);
}

void PlannedScorer::write_parameters(const Planned& planned) const {
  auto from = current_.begin();
  for (const TensorView& variable : planned.variables) {
    const auto to = variable.span<float>();
    std::copy_n(from, to.size(), to.begin());
    from += static_cast<std::ptrdiff_t>(to.size());
  }
}

Result<PlannedScorer::Planned*> PlannedScorer::slate(std::size_t rows) {
  const auto known = std::find_if(planned_.begin(), planned_.end(),
                                  [&](const Planned& p) { return p.rows == rows; });
  if (known != planned_.end()) {
    std::rotate(planned_.begin(), known, known + 1);
    return &planned_.front();
  }
  INK_TRY(const Graph graph, with_rows(model_.graph, rows));
  INK_TRY(Session session, Session::create(graph, options_));
  Planned planned{.rows = rows, .session = std::move(session)};
  INK_TRY(planned.features, planned.session.input(kFeaturesInput));
  INK_TRY(planned.scores, planned.session.output(kScoresOutput));
  if (past_rows_ > 0) {
    INK_TRY(planned.past, planned.session.input(kPastInput));
    INK_TRY(planned.present, planned.session.input(kPresentInput));
  }
  if (graph.find_output(kRepresentationOutput) != kNoValue) {
    INK_TRY(planned.representation, planned.session.output(kRepresentationOutput));
  }
  for (const ValueId id : graph.variables()) {
    INK_TRY(planned.variables.emplace_back(), planned.session.variable(graph.value(id).name));
  }
  write_parameters(planned);
  if (planned_.size() == kPlannedSizesMax) planned_.pop_back();
  planned_.insert(planned_.begin(), std::move(planned));
  return &planned_.front();
}

}  // namespace inkling
