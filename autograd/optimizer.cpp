#include "autograd/optimizer.h"

#include "runtime/ops.h"

namespace inkling {

namespace {

// One variable's step while it is being appended.
struct Step {
  Graph& g;
  ValueId variable;
  Gradient gradient;
  StepInputs inputs;
  std::vector<std::string>& moments;

  // What is stepped of the variable or of a moment.
  ValueId part(ValueId of) const {
    return gradient.rows == kNoValue ? of : gather(g, of, gradient.rows, 0);
  }
  void update(ValueId of, ValueId next) const {
    g.update(of, gradient.rows == kNoValue ? next : scatter(g, of, gradient.rows, next));
  }

  // Zeros beside the weights. The name is one that a user's graph cannot have by accident.
  ValueId moment(const char* kind) const {
    moments.push_back(concat("trainer/", kind, "/", g.value(variable).name));
    return g.variable(moments.back(), Tensor::zeros(g.spec(variable)));
  }

  void operator()(const Sgd& sgd) const {
    const ValueId velocity = sgd.momentum != 0 ? moment("velocity") : kNoValue;
    const SgdStep next = sgd_step(g, part(variable), gradient.values,
                                  velocity == kNoValue ? kNoValue : part(velocity), inputs.rate,
                                  sgd.momentum, sgd.weight_decay, sgd.nesterov);
    update(variable, next.weights);
    if (velocity != kNoValue) update(velocity, next.velocity);
  }

  void operator()(const Adam& adam) const {
    const ValueId first = moment("first_moment"), second = moment("second_moment");
    const AdamStep next =
        adam_step(g, part(variable), gradient.values, part(first), part(second), inputs.rate,
                  inputs.step, adam.beta1, adam.beta2, adam.epsilon, adam.weight_decay);
    update(variable, next.weights);
    update(first, next.first_moment);
    update(second, next.second_moment);
  }

  void operator()(const Adagrad& adagrad) const {
    const ValueId squares = moment("squares");
    const ScaledStep next = adagrad_step(g, part(variable), gradient.values, part(squares),
                                         inputs.rate, adagrad.epsilon, adagrad.weight_decay);
    update(variable, next.weights);
    update(squares, next.squares);
  }

  void operator()(const RmsProp& rmsprop) const {
    const ValueId squares = moment("squares");
    const ScaledStep next =
        rmsprop_step(g, part(variable), gradient.values, part(squares), inputs.rate,
                     rmsprop.smoothing, rmsprop.epsilon, rmsprop.weight_decay);
    update(variable, next.weights);
    update(squares, next.squares);
  }

  void operator()(const Ftrl& ftrl) const {
    const ValueId sums = moment("sums"), squares = moment("squares");
    const FtrlStep next = ftrl_step(g, part(variable), gradient.values, part(sums), part(squares),
                                    inputs.rate, ftrl.beta, ftrl.l1, ftrl.l2);
    update(variable, next.weights);
    update(sums, next.sums);
    update(squares, next.squares);
  }
};

}  // namespace

bool rows_suffice(const Optimizer& optimizer) {
  if (const auto* sgd = std::get_if<Sgd>(&optimizer))
    return sgd->momentum == 0 && sgd->weight_decay == 0;
  const auto* adagrad = std::get_if<Adagrad>(&optimizer);
  return adagrad && adagrad->weight_decay == 0;
}

void append_step(Graph& g, const Optimizer& optimizer, ValueId variable, const Gradient& gradient,
                 const StepInputs& inputs, std::vector<std::string>& moments) {
  std::visit(Step{g, variable, gradient, inputs, moments}, optimizer);
}

}  // namespace inkling
