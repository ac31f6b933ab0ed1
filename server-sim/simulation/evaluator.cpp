#include "server-sim/simulation/evaluator.h"

#include <algorithm>
#include <cmath>

namespace inkling {

namespace {

constexpr std::size_t kBatch = 100;

}  // namespace

Result<Evaluator> Evaluator::create(const Architecture& architecture, const ExampleSet& examples,
                                    unsigned workers) {
  std::vector<std::int64_t> dims = {static_cast<std::int64_t>(kBatch)};
  const auto features = examples.features().dims();
  dims.insert(dims.end(), features.begin(), features.end());
  Graph g;
  INK_TRY(const Shape shape, Shape::from(dims));
  const ValueId x = g.input("features", {DType::kF32, shape});
  g.output("logits", architecture.append(g, x, examples.label_count(), 0));
  INK_CHECK_OK(g.status());

  Evaluator evaluator(examples);
  for (unsigned i = 0; i < workers; ++i) {
    INK_TRY(Session session, Session::create(g));
    Worker worker{std::move(session), {}, {}, {}};
    INK_TRY(worker.features, worker.session.input("features"));
    INK_TRY(worker.logits, worker.session.output("logits"));
    for (const ValueId id : g.variables()) {
      INK_TRY(worker.variables.emplace_back(), worker.session.variable(g.value(id).name));
    }
    evaluator.workers_.push_back(std::move(worker));
  }
  return evaluator;
}

// Sums over the batch, not means.
Evaluation Evaluator::measure_batch(Worker& worker, std::size_t first) const {
  const std::size_t count = std::min(kBatch, examples_->size() - first);
  const std::size_t width = examples_->feature_count(), classes = examples_->label_count();
  for (std::size_t i = 0; i < count; ++i)
    examples_->fill_features(first + i, worker.features.span<float>().subspan(i * width, width));
  worker.session.run();
  Evaluation sums;
  for (std::size_t i = 0; i < count; ++i) {
    const auto row = worker.logits.span<float>().subspan(i * classes, classes);
    const auto top = std::max_element(row.begin(), row.end());
    const std::uint32_t label = examples_->labels()[first + i];
    double total = 0;
    for (const float logit : row) total += std::exp(static_cast<double>(logit) - *top);
    sums.accuracy += top - row.begin() == static_cast<std::ptrdiff_t>(label) ? 1 : 0;
    sums.nll += std::log(total) - (static_cast<double>(row[label]) - *top);
  }
  return sums;
}

Evaluation Evaluator::measure(std::span<const float> parameters, ThreadPool& pool) {
  for (Worker& worker : workers_) {
    auto from = parameters.begin();
    for (const TensorView& variable : worker.variables) {
      std::copy_n(from, variable.elements(), variable.as<float>());
      from += variable.elements();
    }
  }
  std::vector<Evaluation> batches((examples_->size() + kBatch - 1) / kBatch);
  pool.parallel_for(batches.size(), 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
    for (std::size_t i = begin; i < end; ++i)
      batches[i] = measure_batch(workers_[worker], i * kBatch);
  });
  Evaluation mean;
  for (const Evaluation& batch : batches) {
    mean.accuracy += batch.accuracy;
    mean.nll += batch.nll;
  }
  const auto examples = static_cast<double>(examples_->size());
  return {mean.accuracy / examples, mean.nll / examples};
}

}  // namespace inkling
