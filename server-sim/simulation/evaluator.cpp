#include "server-sim/simulation/evaluator.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rerank/metrics.h"

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

void Evaluator::Sums::add(const Sums& other) {
  accuracy += other.accuracy;
  nll += other.nll;
  auc += other.auc;
  auc_weight += other.auc_weight;
  ndcg += other.ndcg;
  ndcg_weight += other.ndcg_weight;
}

Evaluator::Sums Evaluator::measure_batch(Worker& worker,
                                         std::span<const std::uint32_t> examples) const {
  const std::size_t width = examples_->feature_count(), classes = examples_->label_count();
  for (std::size_t i = 0; i < examples.size(); ++i) {
    examples_->fill_features(examples[i], worker.features.span<float>().subspan(i * width, width));
  }
  worker.session.run();
  Sums sums;
  std::vector<ScoredSlate> slates;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const auto row = worker.logits.span<float>().subspan(i * classes, classes);
    const auto top = std::max_element(row.begin(), row.end());
    const std::span<const std::uint32_t> labels = examples_->labels_of(examples[i]);
    double total = 0;
    for (const float logit : row) total += std::exp(static_cast<double>(logit) - *top);
    for (const std::uint32_t label : labels) {
      if (top - row.begin() == static_cast<std::ptrdiff_t>(label)) sums.accuracy += 1;
      sums.nll += (std::log(total) - (static_cast<double>(row[label]) - *top)) /
                  static_cast<double>(labels.size());
    }
    if (!examples_->has_slates()) continue;
    const auto own = row.first(examples_->alternatives(examples[i]));
    ScoredSlate& slate = slates.emplace_back();
    slate.scores.assign(own.begin(), own.end());
    slate.relevant.resize(own.size());
    for (const std::uint32_t label : labels) slate.relevant[label] = 1;
  }
  const auto add_up = [&](Metric metric, Weighting weighting, double& sum, double& weight) {
    const auto values = evaluate(metric, slates, {.weighting = weighting});
    INK_INVARIANT(values.has_value());  // no slate is empty
    for (const SlateValue& v : *values) {
      sum += v.value * v.weight;
      weight += v.weight;
    }
  };
  add_up(Metric::kAuc, Weighting::kPerItem, sums.auc, sums.auc_weight);
  add_up(Metric::kNdcg, Weighting::kPerSlate, sums.ndcg, sums.ndcg_weight);
  return sums;
}

Evaluation Evaluator::mean_of(const Sums& sums, std::size_t examples) const {
  const auto count = static_cast<double>(examples);
  Evaluation mean{.accuracy = sums.accuracy / count, .nll = sums.nll / count};
  if (sums.auc_weight > 0 && sums.ndcg_weight > 0)
    mean.order =
        OrderQuality{.gauc = sums.auc / sums.auc_weight, .ndcg = sums.ndcg / sums.ndcg_weight};
  return mean;
}

void Evaluator::set_parameters(Worker& worker, std::span<const float> parameters) {
  auto from = parameters.begin();
  for (const TensorView& variable : worker.variables) {
    std::copy_n(from, variable.elements(), variable.as<float>());
    from += variable.elements();
  }
}

Evaluation Evaluator::measure(std::span<const float> parameters, ThreadPool& pool) {
  for (Worker& worker : workers_) set_parameters(worker, parameters);
  std::vector<std::uint32_t> all(examples_->size());
  std::iota(all.begin(), all.end(), std::uint32_t{0});
  std::vector<Sums> batches((all.size() + kBatch - 1) / kBatch);
  pool.parallel_for(batches.size(), 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t first = i * kBatch;
      batches[i] = measure_batch(
          workers_[worker],
          std::span<const std::uint32_t>(all).subspan(first, std::min(kBatch, all.size() - first)));
    }
  });
  Sums sums;
  for (const Sums& batch : batches) sums.add(batch);
  return mean_of(sums, all.size());
}

Evaluation Evaluator::measure_each(const Partition& partition, const ModelOf& model_of,
                                   std::size_t parameters, ThreadPool& pool) {
  std::vector<Sums> clients(partition.clients());
  std::vector<std::size_t> counts(partition.clients());
  pool.parallel_for(clients.size(), 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
    std::vector<float> model(parameters);
    std::vector<std::uint32_t> own;
    for (std::size_t client = begin; client < end; ++client) {
      partition.examples_of(client, own);
      counts[client] = own.size();
      if (own.empty()) continue;
      model_of(client, model);
      set_parameters(workers_[worker], model);
      for (std::size_t at = 0; at < own.size(); at += kBatch) {
        clients[client].add(measure_batch(
            workers_[worker],
            std::span<const std::uint32_t>(own).subspan(at, std::min(kBatch, own.size() - at))));
      }
    }
  });
  Sums sums;
  for (const Sums& client : clients) sums.add(client);
  return mean_of(sums, std::accumulate(counts.begin(), counts.end(), std::size_t{0}));
}

}  // namespace inkling
