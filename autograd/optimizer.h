#pragma once
// Optimizer: how the weights follow their gradients. Each is one op
// (runtime/ops/optimizer_step.cpp, where the formulas and papers stand), appended to the graph and
// written in place.

#include <string>
#include <variant>
#include <vector>

#include "runtime/graph.h"

namespace inkling {

// Weight decay: the squared length of the weights, times half of it, belongs to the loss. Adam's is
// decoupled instead (AdamW).
struct Sgd {
  double momentum = 0.0;
  double weight_decay = 0.0;
  bool nesterov = false;  // looks ahead along the momentum
};
struct Adam {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.0;
};
struct Adagrad {
  double epsilon = 1e-10, weight_decay = 0.0;
};
struct RmsProp {
  double smoothing = 0.99, epsilon = 1e-8, weight_decay = 0.0;
};
// With beta, l1 or l2 weights forget where they began: for linear models that begin at zero, where
// the paper takes beta = 1.
struct Ftrl {
  double beta = 0.0, l1 = 0.0, l2 = 0.0;
};
using Optimizer = std::variant<Sgd, Adam, Adagrad, RmsProp, Ftrl>;

// The gradient of a variable: of all of it, or of the rows that were read, each once
// (coalesce_rows).
struct Gradient {
  ValueId values;
  ValueId rows = kNoValue;  // i64[k]
};

// Whether stepping the rows alone gives what stepping the whole table gives: rows without a
// gradient would stay as they are, and so would their moments.
bool rows_suffice(const Optimizer& optimizer);

// The scalars that change from step to step: `step` counts from 1.
struct StepInputs {
  ValueId rate, step;
};

// Appends the step of a variable and names it as its update; moments become variables, whose names
// are added to `moments`. With rows, only they and their moments change.
void append_step(Graph& g, const Optimizer& optimizer, ValueId variable, const Gradient& gradient,
                 const StepInputs& inputs, std::vector<std::string>& moments);

}  // namespace inkling
