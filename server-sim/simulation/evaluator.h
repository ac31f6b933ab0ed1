#pragma once
// Evaluator: accuracy and loss of a global model on a held-out set. One planned session a worker.
// The same numbers on any number of threads: batches are measured apart and added in order.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/thread_pool.h"
#include "runtime/session.h"
#include "server-sim/simulation/architecture.h"
#include "server-sim/simulation/example_set.h"

namespace inkling {

struct Evaluation {
  double accuracy = 0;  // share of examples whose largest logit is their label's; ties: the first
  double nll = 0;       // mean -log softmax(logits)[label]
};

class Evaluator {
 public:
  // The set must outlive the evaluator.
  static Result<Evaluator> create(const Architecture& architecture, const ExampleSet& examples,
                                  unsigned workers);

  // parameters: in the order of the architecture's variables.
  Evaluation measure(std::span<const float> parameters, ThreadPool& pool);

 private:
  struct Worker {
    Session session;
    TensorView features, logits;
    std::vector<TensorView> variables;
  };
  explicit Evaluator(const ExampleSet& examples) : examples_(&examples) {}
  Evaluation measure_batch(Worker& worker, std::size_t first) const;

  const ExampleSet* examples_;
  std::vector<Worker> workers_;
};

}  // namespace inkling
