#include "autograd/optimizer.h"

#include "runtime/ops.h"

namespace inkling {

namespace {

// One variable's step while it is being appended.
struct Step {
  Graph& g;
  ValueId weights, gradient;
  StepInputs inputs;
  std::vector<std::string>& moments;

  // Zeros beside the weights. The name is one that a user's graph cannot have by accident.
  ValueId moment(const char* kind) const {
    moments.push_back(concat("trainer/", kind, "/", g.value(weights).name));
    return g.variable(moments.back(), Tensor::zeros(g.spec(weights)));
  }

  void operator()(const Sgd& sgd) const {
    const ValueId velocity = sgd.momentum != 0 ? moment("velocity") : kNoValue;
    const SgdStep next = sgd_step(g, weights, gradient, velocity, inputs.rate, sgd.momentum,
                                  sgd.weight_decay, sgd.nesterov);
    g.update(weights, next.weights);
    if (velocity != kNoValue) g.update(velocity, next.velocity);
  }

  void operator()(const Adam& adam) const {
    const ValueId first = moment("first_moment"), second = moment("second_moment");
    const AdamStep next = adam_step(g, weights, gradient, first, second, inputs.rate, inputs.step,
                                    adam.beta1, adam.beta2, adam.epsilon, adam.weight_decay);
    g.update(weights, next.weights);
    g.update(first, next.first_moment);
    g.update(second, next.second_moment);
  }

  void operator()(const Adagrad& adagrad) const {
    const ValueId squares = moment("squares");
    const ScaledStep next = adagrad_step(g, weights, gradient, squares, inputs.rate,
                                         adagrad.epsilon, adagrad.weight_decay);
    g.update(weights, next.weights);
    g.update(squares, next.squares);
  }

  void operator()(const RmsProp& rmsprop) const {
    const ValueId squares = moment("squares");
    const ScaledStep next = rmsprop_step(g, weights, gradient, squares, inputs.rate,
                                         rmsprop.smoothing, rmsprop.epsilon, rmsprop.weight_decay);
    g.update(weights, next.weights);
    g.update(squares, next.squares);
  }

  void operator()(const Ftrl& ftrl) const {
    const ValueId sums = moment("sums"), squares = moment("squares");
    const FtrlStep next =
        ftrl_step(g, weights, gradient, sums, squares, inputs.rate, ftrl.beta, ftrl.l1, ftrl.l2);
    g.update(weights, next.weights);
    g.update(sums, next.sums);
    g.update(squares, next.squares);
  }
};

}  // namespace

void append_step(Graph& g, const Optimizer& optimizer, ValueId variable, ValueId gradient,
                 const StepInputs& inputs, std::vector<std::string>& moments) {
  std::visit(Step{g, variable, gradient, inputs, moments}, optimizer);
}

}  // namespace inkling
