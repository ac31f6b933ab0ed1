#pragma once
// Evaluator: accuracy and loss of a model on a held-out set, and how it orders slates. One planned
// session a worker. The same numbers on any number of threads: batches are measured apart and added
// in order.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "runtime/base/thread_pool.h"
#include "runtime/session.h"
#include "server-sim/simulation/architecture.h"
#include "server-sim/simulation/example_set.h"
#include "server-sim/simulation/partition.h"

namespace inkling {

// Of slates (rerank/metrics.h).
struct OrderQuality {
  double gauc = 0;  // weighted by the alternatives
  double ndcg = 0;  // of the first ten places
};

struct Evaluation {
  double accuracy =
      0;           // share of examples whose largest logit is a label of theirs; ties: the first
  double nll = 0;  // mean -log softmax(logits)[label]
  std::optional<OrderQuality> order = {};  // where the examples are slates
};

class Evaluator {
 public:
  // The set must outlive the evaluator.
  static Result<Evaluator> create(const Architecture& architecture, const ExampleSet& examples,
                                  unsigned workers);

  // parameters: in the order of the architecture's variables.
  Evaluation measure(std::span<const float> parameters, ThreadPool& pool);

  // Each client's examples under a model of the client's own, which `model_of` fills in, f32
  // [parameters]; for different clients at once. At least one client has an example.
  using ModelOf = std::function<void(std::uint64_t client, std::span<float> model)>;
  Evaluation measure_each(const Partition& partition, const ModelOf& model_of,
                          std::size_t parameters, ThreadPool& pool);

 private:
  struct Worker {
    Session session;
    TensorView features, logits;
    std::vector<TensorView> variables;
  };
  // Of a batch: not yet divided.
  struct Sums {
    double accuracy = 0, nll = 0;
    double auc = 0, auc_weight = 0, ndcg = 0, ndcg_weight = 0;
    void add(const Sums& other);
  };
  explicit Evaluator(const ExampleSet& examples) : examples_(&examples) {}
  Sums measure_batch(Worker& worker, std::span<const std::uint32_t> examples) const;
  static void set_parameters(Worker& worker, std::span<const float> parameters);
  Evaluation mean_of(const Sums& sums, std::size_t examples) const;

  const ExampleSet* examples_;
  std::vector<Worker> workers_;
};

}  // namespace inkling
