#pragma once
// LocalTrainer: one planned session that plays one client after another.
//
// Planning happens once for each worker thread; a client costs setting the parameters, its steps,
// and reading them back. The local objective of client k is
//
//   F_k(w) + mu / 2 |w - w_anchor|^2 + <correction, w>
//
// the second term FedProx's (Li et al., MLSys 2020) and the third SCAFFOLD's (Karimireddy et al.,
// ICML 2020); each is part of the graph only where the algorithm asks for it. One thread at a time.

#include <cstdint>
#include <span>
#include <vector>

#include "autograd/trainer.h"
#include "runtime/base/rng.h"
#include "server-sim/simulation/architecture.h"
#include "server-sim/simulation/example_set.h"

namespace inkling {

struct LocalSpec {
  std::size_t epochs = 1;
  std::size_t batch = 10;
  double rate = 0.1;
  double momentum = 0;
};

// Which terms beside the loss the graph has.
struct LocalTerms {
  bool proximal = false;
  bool correction = false;
};

struct ParameterRange {
  std::size_t begin = 0, end = 0;
};

// The terms' values for one client. Lengths: parameter_count(), or empty for a term that is absent.
struct LocalTermValues {
  double mu = 0;
  std::span<const float> anchor = {};  // what mu pulls to; empty: where training starts
  std::span<const float> correction = {};
};

// What of a client's training differs from the spec.
struct LocalPart {
  std::size_t epochs = 0;                     // 0: the spec's
  std::span<const ParameterRange> kept = {};  // parameters that stay as they are
};

struct LocalReport {
  std::size_t examples = 0;
  std::size_t steps = 0;
  double loss = 0;  // mean over the steps, each before it was taken
  bool finite = true;
};

class LocalTrainer {
 public:
  static Result<LocalTrainer> create(const Architecture& architecture, const ExampleSet& examples,
                                     const LocalSpec& spec, const LocalTerms& terms,
                                     std::uint64_t seed);

  std::size_t parameter_count() const { return trainer_.parameter_count(); }
  std::span<const ParameterSlice> parameters() const { return trainer_.parameters(); }
  // As the architecture initialises them.
  std::vector<float> initial_parameters() const { return trainer_.get_parameters(); }
  std::size_t memory_bytes() const { return trainer_.memory_bytes(); }

  // Trains from `start` on the client's examples, whose order of every epoch comes from `order`.
  // labels: the label of each example, empty for the set's own (a label-flipping client has
  // others). after: f32[parameter_count()], the trained parameters; not where `start` is.
  Result<LocalReport> train(std::span<const float> start, std::span<const std::uint32_t> indices,
                            std::span<const std::uint32_t> labels, const LocalTermValues& terms,
                            Rng& order, std::span<float> after, const LocalPart& part = {});

 private:
  LocalTrainer(const ExampleSet& examples, const LocalSpec& spec, Trainer trainer)
      : examples_(&examples), spec_(spec), trainer_(std::move(trainer)) {}
  void fill_batch(std::span<const std::uint32_t> indices, std::span<const std::uint32_t> labels,
                  std::span<const std::size_t> rows);
  Result<void> put_back(std::span<const float> start, std::span<const ParameterRange> kept,
                        std::span<float> scratch);

  const ExampleSet* examples_;
  LocalSpec spec_;
  Trainer trainer_;
  TensorView features_, targets_, mu_;
  std::vector<TensorView> anchors_, corrections_;  // by parameter slice
  std::vector<std::size_t> order_;
};

}  // namespace inkling
